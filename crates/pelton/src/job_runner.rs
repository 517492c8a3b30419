//! Starts the job runner: each job is a process of this binary that calls its server back.

use crate::authenticator::KeyAuthenticator;
use crate::data_folder::DataFolder;
use crate::job_command::{TOKEN_VARIABLE, URL_VARIABLE};
use anyhow::Context as _;
use pelton_config::Config;
use pelton_context::OpContext;
use pelton_ids::ProjectId;
use pelton_jobs::{CommandFor, JobRunner, RunnerOptions};
use pelton_metadata::{ClaimedJob, Store};
use pelton_supervise::ChildSpec;
use std::sync::Arc;
use std::time::Duration;

/// Starts it, after queueing again what an earlier server left behind.
pub async fn start(
    config: &Config,
    folder: &DataFolder,
    store: Store,
    authenticator: Arc<KeyAuthenticator>,
    url: &str,
) -> anyhow::Result<JobRunner> {
    let program = std::env::current_exe().context("the path of this program")?;
    let (folder, url, threads) = (folder.jobs(), url.to_owned(), config.jobs.threads);
    let command: CommandFor = Arc::new(move |claimed: &ClaimedJob| {
        let id = claimed.job.id;
        let work = folder.join(id.to_string());
        let arguments = [
            "run-job".to_owned(),
            "--id".to_owned(),
            id.to_string(),
            "--folder".to_owned(),
            work.display().to_string(),
            "--threads".to_owned(),
            threads.to_string(),
        ];
        let spec = ChildSpec::new(&program, arguments).env(URL_VARIABLE, &url);
        match authenticator.jobs().issue(id, claimed.lease.project) {
            Ok(token) => spec.env(TOKEN_VARIABLE, token.expose()),
            Err(error) => {
                // The process ends at once and says that it has no token.
                tracing::error!(%id, %error, "no token could be made for a job");
                spec
            }
        }
    });
    let options = RunnerOptions {
        owner: format!("server-{}", std::process::id()),
        slots: u32::try_from(config.jobs.slots)?.max(1),
        lease: Duration::from_secs(config.jobs.lease_seconds),
        // The data folder's lock says so for SQLite; on PostgreSQL others may work too.
        sole: config.metadata.url.expose().is_empty(),
        ..RunnerOptions::default()
    };
    let context = OpContext::system(ProjectId::from_u128(0));
    Ok(JobRunner::start(store, context, options, command).await?)
}
