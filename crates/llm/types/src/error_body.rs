//! The error object of OpenAI's dialect.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{"error": {…}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for people and for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For people; says what to do next.
    #[serde(default)]
    pub message: String,
    /// The kind: `invalid_request_error`, `authentication_error`, …
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Which parameter was at fault.
    #[serde(default)]
    pub param: Option<String>,
    /// For programs: `model_not_found`, …; some upstreams send a number.
    #[serde(default)]
    pub code: Option<Value>,
}

impl ErrorBody {
    /// An error of a kind with a code.
    #[must_use]
    pub fn new(kind: &str, code: &str, param: Option<&str>, message: String) -> Self {
        Self {
            error: ErrorDetail {
                message,
                kind: Some(kind.into()),
                param: param.map(Into::into),
                code: Some(Value::from(code)),
            },
        }
    }

    /// The message that an upstream's error body carries, in whichever usual shape.
    #[must_use]
    pub fn message_in(body: &[u8]) -> Option<String> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let error = value.get("error").unwrap_or(&value);
        let message = error.as_str().or_else(|| {
            ["message", "detail"].iter().find_map(|name| error.get(name).and_then(Value::as_str))
        })?;
        Some(message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_message_in_the_usual_shapes() {
        for body in [
            r#"{"error":{"message":"no","code":500}}"#,
            r#"{"error":"no"}"#,
            r#"{"message":"no"}"#,
            r#"{"detail":"no"}"#,
        ] {
            assert_eq!(ErrorBody::message_in(body.as_bytes()).as_deref(), Some("no"), "{body}");
        }
        assert_eq!(ErrorBody::message_in(b"<html>"), None);
    }
}
