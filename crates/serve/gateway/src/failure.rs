//! An attempt that gave no answer, and what that means for the next one.

use crate::refusal::GatewayError;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pelton_egress::EgressError;
use pelton_llm_types::ErrorBody;
use std::time::Duration;

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The target has no address yet.
    NotUp,
    /// No exchange, or one that broke off before its first content.
    Egress(EgressError),
    /// An error status.
    Status { status: StatusCode, body: Bytes, retry_after: Option<Duration> },
    /// Time ran out.
    TimedOut { what: &'static str, limit: Duration, whole_call: bool },
    /// The answer is not one.
    Nonsense(String),
}

/// What may be tried after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// The same target may do better next time.
    pub(crate) same: bool,
    /// Another target may do better.
    pub(crate) elsewhere: bool,
    /// How long the upstream asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn outlook(&self) -> Outlook {
        let (same, elsewhere) = match self {
            Self::NotUp => (true, true),
            Self::Egress(EgressError::Connect { .. } | EgressError::Broken { .. }) => (true, true),
            Self::Egress(_) | Self::Nonsense(_) => (false, true),
            Self::TimedOut { whole_call, .. } => (false, !whole_call),
            Self::Status { status, .. } => match status.as_u16() {
                408 | 425 | 429 | 500 | 502 | 503 | 504 | 529 => (true, true),
                // About our own key, or about a model that the operator named: not the caller's
                // fault, and another target may know better.
                401..=404 => (false, true),
                400..=499 => (false, false),
                _ => (false, true),
            },
        };
        let retry_after = match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        Outlook { same, elsewhere, retry_after }
    }

    /// The upstream's status, for the route's trace.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// For the route's trace and for metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::NotUp => "not_up",
            Self::Egress(EgressError::Connect { .. }) => "connect",
            Self::Egress(EgressError::OutOfReach { .. }) => "out_of_reach",
            Self::Egress(_) => "broken",
            Self::Status { .. } => "status",
            Self::TimedOut { .. } => "timeout",
            Self::Nonsense(_) => "nonsense",
        }
    }

    /// In words.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::NotUp => "it is not up yet".into(),
            Self::Egress(error) => error.to_string(),
            Self::Status { status, body, .. } => match ErrorBody::message_in(body) {
                Some(message) => message.chars().take(1_000).collect(),
                None => format!("status {status}"),
            },
            Self::TimedOut { what, limit, .. } => {
                format!("no {what} within {} s", limit.as_secs_f64())
            }
            Self::Nonsense(what) => what.clone(),
        }
    }

    /// What the caller is told when this was the last attempt.
    pub(crate) fn refusal(self, target: &str) -> GatewayError {
        let message = self.message();
        let target = target.to_owned();
        match self {
            Self::NotUp => GatewayError::Unavailable { target, message, retry_after: None },
            Self::TimedOut { what, limit, .. } => GatewayError::TimedOut { target, what, limit },
            Self::Status { status, body, retry_after } => match status.as_u16() {
                429 => GatewayError::RateLimited { target, message, retry_after },
                503 | 529 => GatewayError::Unavailable { target, message, retry_after },
                401..=404 => GatewayError::Failed { target, message },
                400..=499 => GatewayError::Rejected { status, message, body },
                _ => GatewayError::Failed { target, message },
            },
            Self::Egress(_) | Self::Nonsense(_) => GatewayError::Failed { target, message },
        }
    }
}

/// `retry-after-ms`, or `retry-after` in seconds; dates are not read.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds =
        number("retry-after-ms").map(|ms| ms / 1_000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Failure {
        Failure::Status {
            status: StatusCode::from_u16(code).unwrap(),
            body: Bytes::from_static(b"{\"error\":{\"message\":\"m\"}}"),
            retry_after: None,
        }
    }

    #[test]
    fn statuses() {
        let table: Vec<String> = [400, 401, 404, 413, 422, 429, 500, 503, 529, 302]
            .map(|code| {
                let Outlook { same, elsewhere, .. } = status(code).outlook();
                let refusal = status(code).refusal("t");
                format!(
                    "{code} {same} {elsewhere} -> {} {}",
                    refusal.status().as_u16(),
                    refusal.code()
                )
            })
            .into();
        assert_eq!(
            table,
            [
                "400 false false -> 400 upstream_rejected",
                "401 false true -> 502 upstream_failed",
                "404 false true -> 502 upstream_failed",
                "413 false false -> 413 upstream_rejected",
                "422 false false -> 422 upstream_rejected",
                "429 true true -> 429 rate_limit_exceeded",
                "500 true true -> 502 upstream_failed",
                "503 true true -> 503 upstream_unavailable",
                "529 true true -> 503 upstream_unavailable",
                "302 false true -> 502 upstream_failed",
            ]
        );
    }

    #[test]
    fn reads_retry_after() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert_eq!(retry_after(&headers("retry-after", "2")), Some(Duration::from_secs(2)));
        assert_eq!(
            retry_after(&headers("retry-after-ms", "250")),
            Some(Duration::from_millis(250))
        );
        for bad in ["-1", "soon", "nan", "1e300"] {
            assert_eq!(retry_after(&headers("retry-after", bad)), None, "{bad}");
        }
    }
}
