//! How a job's process reports: one JSON object a line, on its standard output.

use pelton_client::ClientError;
use serde_json::{Value, json};
use std::io::Write as _;

/// The standard output, as the job runner reads it. Clones write to the same place.
#[derive(Clone, Copy, Default)]
pub struct Report;

impl Report {
    fn line(self, line: &Value) {
        let mut out = std::io::stdout().lock();
        // A parent that is gone takes this process along; there is nobody to tell.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// How far the job is.
    pub fn progress(self, done: u64, total: Option<u64>, unit: &str, message: &str) {
        self.line(&json!({
            "progress": { "done": done, "total": total, "unit": unit, "message": message }
        }));
    }

    /// What was measured at a step.
    pub fn metric(self, step: u64, values: &Value) {
        self.line(&json!({ "metric": { "step": step, "values": values } }));
    }

    /// A line of the log.
    pub fn info(self, message: &str) {
        self.line(&json!({ "log": { "level": "info", "message": message } }));
    }

    /// A line of the log that somebody should read.
    pub fn warn(self, message: &str) {
        self.line(&json!({ "log": { "level": "warn", "message": message } }));
    }

    /// What came out.
    pub fn result(self, result: &Value) {
        self.line(&json!({ "result": result }));
    }

    /// Why nothing came out.
    pub fn error(self, failure: &JobFailure) {
        let JobFailure { code, message, hint, retryable } = failure;
        self.line(&json!({
            "error": { "code": code, "message": message, "hint": hint, "retryable": retryable }
        }));
    }
}

/// Why a job failed, for whoever asked for it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JobFailure {
    /// For programs.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// Whether the same job may succeed later.
    pub retryable: bool,
}

impl JobFailure {
    /// A fault in what was asked for.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { code: "invalid_input", message, hint, retryable: false }
    }

    /// What an error comes to: a failure stays as it is, a server that is away is tried again.
    pub fn of(error: &anyhow::Error) -> Self {
        if let Some(Self { code, message, hint, retryable }) = error.downcast_ref() {
            return Self {
                code,
                message: message.clone(),
                hint: hint.clone(),
                retryable: *retryable,
            };
        }
        let message = format!("{error:#}");
        let full = message.contains("No space left");
        match error.downcast_ref::<ClientError>() {
            Some(refused) => Self {
                code: "refused",
                message,
                hint: refused.hint().unwrap_or_default().to_owned(),
                retryable: refused.is_transient(),
            },
            None if full => Self {
                code: "storage_full",
                message,
                hint: "Free space in the data folder, then run the job again.".into(),
                retryable: false,
            },
            None => Self {
                code: "failed",
                message,
                hint: "Read the job's log.".into(),
                retryable: false,
            },
        }
    }
}
