//! What a call of the API can end in.

use crate::Client;
use serde_json::Value;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error's code, `not_found` for example.
        code: String,
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The server could not be reached, or hung up.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What the connection ended in.
        reason: String,
    },
    /// The answer is not what it should be.
    #[error("{path} answered with something that cannot be read: {reason}")]
    Unreadable {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The error in an answer: Pelton's own shape, or OpenAI's.
    pub(crate) fn refused(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
        Self::Refused {
            status,
            code: text("code").unwrap_or_else(|| "unknown".into()),
            message: text("message").unwrap_or_else(|| format!("the server answered {status}")),
            hint: text("hint"),
        }
    }

    pub(crate) fn unreachable(client: &Client, source: &dyn std::error::Error) -> Self {
        let mut reason = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            reason = cause.to_string();
            next = cause.source();
        }
        Self::Unreachable { url: client.base().to_owned(), reason }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::Unreachable { .. } => {
                Some("Start a server with `pelton up`, or give its address with `--url`.")
            }
            Self::Unreadable { .. } => Some("Check that client and server have the same version."),
        }
    }

    /// Whether the same call may succeed later: the server is away, or busy.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 429 | 502 | 503 | 504),
            Self::Unreadable { .. } => false,
        }
    }
}
