//! What a caller is told when there is no answer: one table of codes.

use crate::receive::BodyError;
use bytes::Bytes;
use http::StatusCode;
use pelton_context::Forbidden;
use pelton_ids::{InferenceId, ReleaseId};
use pelton_llm_types::BadRequest;
use std::time::Duration;

/// A call that got no answer.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: Box<GatewayError>,
    /// Names the call, if it has a record.
    pub inference: Option<InferenceId>,
    /// Which release was asked.
    pub release: Option<(ReleaseId, String)>,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// The body did not arrive.
    #[error("{0}")]
    NoBody(BodyError),
    /// The body is no chat request.
    #[error("{0}")]
    BadRequest(BadRequest),
    /// The caller may not call models.
    #[error("{0}. Ask for a key with that scope.")]
    Forbidden(Forbidden),
    /// No endpoint or model has this name.
    #[error("{}", unknown(model, known))]
    UnknownModel {
        /// The name that was asked for.
        model: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The endpoint has no release to answer.
    #[error(
        "Endpoint `{endpoint}` has no release to answer: give it traffic with `pelton endpoint set {endpoint}`."
    )]
    NoTraffic {
        /// The endpoint.
        endpoint: String,
    },
    /// As many calls as allowed are being served.
    #[error("{bound} calls are being served, as many as allowed. Try again in a moment.")]
    Overloaded {
        /// The bound.
        bound: usize,
    },
    /// Records cannot be taken as fast as calls come in.
    #[error("Traces cannot be written as fast as calls come in. Try again in a moment.")]
    RecordsBehind,
    /// The upstream found fault with the request.
    #[error("{message}")]
    Rejected {
        /// Its status, 4xx.
        status: StatusCode,
        /// What it says.
        message: String,
        /// Its body, to be passed on as it is.
        body: Bytes,
    },
    /// The upstream limits our rate.
    #[error("{target} limits the rate of calls: {message}")]
    RateLimited {
        /// Which upstream.
        target: String,
        /// What it says.
        message: String,
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// The upstream is not up, or says that it cannot serve now.
    #[error("{target} cannot serve now: {message}. Try again in a moment.")]
    Unavailable {
        /// Which upstream.
        target: String,
        /// What is known.
        message: String,
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// The upstream failed.
    #[error("{target} failed: {message}")]
    Failed {
        /// Which upstream.
        target: String,
        /// What it says, or what happened.
        message: String,
    },
    /// Time ran out.
    #[error("{target} gave no {what} within {} s.", limit.as_secs_f64())]
    TimedOut {
        /// Which upstream.
        target: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
}

fn unknown(model: &str, known: &[String]) -> String {
    let model: String = model.chars().take(100).collect();
    if known.is_empty() {
        return format!(
            "`{model}` does not exist, nor does any other endpoint yet: make one with `pelton endpoint set`."
        );
    }
    let shown: Vec<String> = known.iter().take(20).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > shown.len() { ", …" } else { "" };
    format!("`{model}` does not exist. These do: {}{more}.", shown.join(", "))
}

impl GatewayError {
    /// For programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoBody(BodyError::TooLong { .. }) => "body_too_large",
            Self::NoBody(BodyError::BrokenOff(_)) => "body_unreadable",
            Self::BadRequest(_) => "invalid_request",
            Self::Forbidden(_) => "forbidden",
            Self::UnknownModel { .. } => "model_not_found",
            Self::NoTraffic { .. } => "endpoint_without_release",
            Self::Overloaded { .. } => "overloaded",
            Self::RecordsBehind => "records_behind",
            Self::Rejected { .. } => "upstream_rejected",
            Self::RateLimited { .. } => "rate_limit_exceeded",
            Self::Unavailable { .. } => "upstream_unavailable",
            Self::Failed { .. } => "upstream_failed",
            Self::TimedOut { .. } => "upstream_timeout",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoBody(BodyError::TooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoBody(BodyError::BrokenOff(_)) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::UnknownModel { .. } => StatusCode::NOT_FOUND,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoTraffic { .. }
            | Self::Overloaded { .. }
            | Self::RecordsBehind
            | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Rejected { status, .. } => *status,
            Self::Failed { .. } => StatusCode::BAD_GATEWAY,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The `type` of OpenAI's error object.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoBody(_)
            | Self::BadRequest(_)
            | Self::UnknownModel { .. }
            | Self::Rejected { .. } => "invalid_request_error",
            Self::Forbidden(_) => "permission_error",
            Self::RateLimited { .. } => "rate_limit_error",
            Self::NoTraffic { .. }
            | Self::Overloaded { .. }
            | Self::RecordsBehind
            | Self::Unavailable { .. } => "service_unavailable_error",
            Self::Failed { .. } | Self::TimedOut { .. } => "upstream_error",
        }
    }

    /// The request's member at fault.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(bad) => bad.param,
            Self::UnknownModel { .. } => Some("model"),
            _ => None,
        }
    }

    /// When to try again, for the `Retry-After` header.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { .. } | Self::RecordsBehind => Some(Duration::from_secs(1)),
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                Some(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            _ => None,
        }
    }

    /// Whether the caller's client had better not retry by itself: the gateway has tried already,
    /// and retries on top of retries multiply.
    #[must_use]
    pub const fn was_retried(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::TimedOut { .. })
    }
}
