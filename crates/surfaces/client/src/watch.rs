//! Waiting for a job while showing how far it is.

use crate::{Client, ClientError};
use serde_json::Value;
use std::time::Duration;

/// How often a job is looked at.
const INTERVAL: Duration = Duration::from_millis(300);
/// How long a server may be away while a job is waited for: a restart takes a second.
const PATIENCE: u32 = 100;

/// A job as it was last seen.
#[derive(Debug)]
pub struct Watched<'a> {
    /// The job.
    pub job: &'a Value,
    /// Units done.
    pub done: f64,
    /// Units in all; 0 while unknown.
    pub total: f64,
    /// What goes on.
    pub message: &'a str,
}

/// How a job ended.
#[derive(Debug)]
pub enum JobEnd {
    /// With this result.
    Succeeded(Value),
    /// With this error, or because somebody stopped it.
    Failed {
        /// `failed` or `cancelled`.
        state: String,
        /// What happened.
        message: String,
        /// What to do next.
        hint: String,
    },
}

impl Client {
    /// Waits until a job has ended, and shows `observe` how far it is. A server that is away for
    /// a while is waited for.
    ///
    /// # Errors
    /// When the server refuses, or stays away.
    pub async fn wait_for_job(
        &self,
        id: &str,
        mut observe: impl FnMut(Watched<'_>),
    ) -> Result<JobEnd, ClientError> {
        let path = format!("/api/v1/jobs/{id}");
        let mut missed = 0;
        loop {
            match self.get::<Value>(&path).await {
                Ok(job) => {
                    missed = 0;
                    if let Some(end) = ended(&job) {
                        return Ok(end);
                    }
                    let progress = &job["progress"];
                    observe(Watched {
                        done: progress["done"].as_f64().unwrap_or(0.0),
                        total: progress["total"].as_f64().unwrap_or(0.0),
                        message: progress["message"].as_str().unwrap_or_default(),
                        job: &job,
                    });
                }
                Err(error) if error.is_transient() && missed < PATIENCE => missed += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn ended(job: &Value) -> Option<JobEnd> {
    let state = job["state"].as_str().unwrap_or_default();
    match state {
        "succeeded" => Some(JobEnd::Succeeded(job["result"].clone())),
        "failed" | "cancelled" => {
            let error = &job["error"];
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            let message = match text("message") {
                empty if empty.is_empty() => format!("the job was {state}"),
                message => message,
            };
            Some(JobEnd::Failed { state: state.into(), message, hint: text("hint") })
        }
        _ => None,
    }
}
