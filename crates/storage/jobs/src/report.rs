//! The child's side: how a job's body says what it does.

use crate::message::JobMessage;
use pelton_metadata::{JobError, JobProgress};
use serde_json::Value as Json;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Writes messages, one a line, each at once. May be shared between threads.
pub struct Reporter<W = io::Stdout>(Mutex<W>);

impl Reporter {
    /// Reports to the runner that started this process.
    #[must_use]
    pub fn to_runner() -> Self {
        Self(Mutex::new(io::stdout()))
    }
}

impl<W: Write> Reporter<W> {
    /// Reports to `out`.
    pub const fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }

    /// Writes one message.
    ///
    /// # Errors
    /// When nobody listens any more: stop the work.
    pub fn say(&self, message: &JobMessage) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line)?;
        out.flush()
    }

    /// Says how far the job has come.
    ///
    /// # Errors
    /// As [`Reporter::say`].
    pub fn progress(
        &self,
        done: i64,
        total: Option<i64>,
        unit: &str,
        what: &str,
    ) -> io::Result<()> {
        let (unit, message) = (unit.to_owned(), what.to_owned());
        self.say(&JobMessage::Progress(JobProgress { done, total, unit, message }))
    }

    /// Says what was measured at a step.
    ///
    /// # Errors
    /// As [`Reporter::say`].
    pub fn metric(&self, step: i64, values: Json) -> io::Result<()> {
        self.say(&JobMessage::Metric { step, values })
    }

    /// Adds to the job's log.
    ///
    /// # Errors
    /// As [`Reporter::say`].
    pub fn log(&self, level: &str, message: impl Into<String>) -> io::Result<()> {
        self.say(&JobMessage::Log { level: level.into(), message: message.into() })
    }

    /// Says what came out. End the process with code 0 after it.
    ///
    /// # Errors
    /// As [`Reporter::say`].
    pub fn result(&self, result: Json) -> io::Result<()> {
        self.say(&JobMessage::Result(result))
    }

    /// Says why the job failed.
    ///
    /// # Errors
    /// As [`Reporter::say`].
    pub fn error(&self, error: JobError) -> io::Result<()> {
        self.say(&JobMessage::Error(error))
    }
}
