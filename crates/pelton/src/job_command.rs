//! `pelton run-job`: the process of one job. It speaks to its server by the native API and
//! reports on its standard output.

use crate::jobs;
use crate::jobs::report::{JobFailure, Report};
use anyhow::Context as _;
use clap::Args;
use pelton_client::Client;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the job's process finds its server.
pub const URL_VARIABLE: &str = "PELTON_JOB_URL";
/// With which token it calls it.
pub const TOKEN_VARIABLE: &str = "PELTON_JOB_TOKEN";

/// Which job, and where.
#[derive(Args)]
pub struct Arguments {
    /// The job.
    #[arg(long)]
    id: String,
    /// The folder for its checkpoints; it outlives the process.
    #[arg(long)]
    folder: PathBuf,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What a job's body is given.
pub struct Task {
    /// `job_…`
    pub id: String,
    /// What was asked for.
    pub spec: Value,
    /// For checkpoints.
    pub folder: PathBuf,
    /// Threads to compute with.
    pub threads: usize,
    /// The server.
    pub client: Client,
    /// Where progress goes.
    pub report: Report,
}

/// Runs one job. Its outcome is told on the standard output; the exit code only says whether the
/// process itself worked.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { id, folder, threads } = arguments;
    pelton_supervise::exit_with_parent(1);
    let url = variable(URL_VARIABLE)?;
    let token = variable(TOKEN_VARIABLE)?;
    let client = Client::new(&url, Some(token));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the job's folder {}", folder.display()))?;
    crate::runtime(1)?.block_on(async {
        let report = Report;
        let job: Value = client.get(&format!("/api/v1/jobs/{id}")).await?;
        let kind = job["kind"].as_str().unwrap_or_default().to_owned();
        let spec = job["spec"].clone();
        let task = Task { id, spec, folder, threads, client, report };
        match body(&kind, task).await {
            Ok(result) => report.result(&result),
            Err(error) => report.error(&JobFailure::of(&error)),
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn body(kind: &str, task: Task) -> anyhow::Result<Value> {
    match kind {
        "dataset_build" => jobs::build_dataset::run(task).await,
        "finetune" => jobs::finetune::run(task).await,
        "finetune_search" => jobs::search::run(task).await,
        "evaluation" => jobs::evaluate::run(task).await,
        _ => anyhow::bail!("this version of Pelton knows no job of kind `{kind}`"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: `pelton up` starts jobs"))
}
