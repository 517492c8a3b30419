//! What a job's process says: one JSON object a line, such as `{"progress":{"done":3}}`.

use pelton_metadata::{JobError, JobProgress, JobRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The longest line that is read, in bytes; a longer one ends the attempt.
pub const MAX_LINE: usize = 4 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobMessage {
    /// How far it has come.
    Progress(JobProgress),
    /// The measurements of a step. Saying a step again, after a resume, changes nothing.
    Metric {
        /// The step.
        step: i64,
        /// Names and numbers.
        values: Json,
    },
    /// A log line.
    Log {
        /// `error`, `warn`, `info` or `debug`.
        level: String,
        /// What.
        message: String,
    },
    /// It is done, and this came out. The process must end with code 0 after it.
    Result(Json),
    /// It failed, and why.
    Error(JobError),
}

/// A message as the runner treats it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// To be stored.
    Record(JobRecord),
    /// How it thinks it ended.
    Result(Json),
    /// How it thinks it failed.
    Error(JobError),
}

impl Heard {
    /// A line that is no message is kept as a log line: something in the child printed it.
    pub(crate) fn parse(line: &str) -> Self {
        match serde_json::from_str(line) {
            Ok(JobMessage::Progress(progress)) => Self::Record(JobRecord::Progress(progress)),
            Ok(JobMessage::Metric { step, values }) => {
                Self::Record(JobRecord::Metric { step, values })
            }
            Ok(JobMessage::Log { level, message }) => {
                Self::Record(JobRecord::Log { level, message })
            }
            Ok(JobMessage::Result(result)) => Self::Result(result),
            Ok(JobMessage::Error(error)) => Self::Error(error),
            Err(_) => Self::Record(JobRecord::Log { level: "info".into(), message: line.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &str) {
        assert_eq!(format!("{:?}", Heard::parse(line)), expect);
    }

    #[test]
    fn lines() {
        check(
            r#"{"progress":{"done":1,"total":9,"unit":"steps","message":"training"}}"#,
            r#"Record(Progress(JobProgress { done: 1, total: Some(9), unit: "steps", message: "training" }))"#,
        );
        check(
            r#"{"metric":{"step":3,"values":{"loss":0.5}}}"#,
            r#"Record(Metric { step: 3, values: Object {"loss": Number(0.5)} })"#,
        );
        check(r#"{"result":{"model":"m@1"}}"#, r#"Result(Object {"model": String("m@1")})"#);
        check(
            r#"{"error":{"code":"bad_input","message":"no rows"}}"#,
            r#"Error(JobError { code: "bad_input", message: "no rows", hint: "", retryable: false })"#,
        );
        check("Segfault!", r#"Record(Log { level: "info", message: "Segfault!" })"#);
    }
}
