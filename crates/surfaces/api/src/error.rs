//! One table of error codes, and how an error is told to a caller.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pelton_metadata::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $title:literal, $hint:literal;)*) => {
        /// What kind of thing went wrong, by what the caller can do about it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $variant),* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),* }
            }

            /// A short name for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What to do next, where the place of the error says nothing better.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST, "Invalid request", "Compare the request with /api/openapi.json.";
    InvalidJson = "invalid_json", BAD_REQUEST, "Not valid JSON", "Correct the body at the place that the message names.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "No valid key", "Send `Authorization: Bearer pk_…`; `pelton key create` makes a key.";
    Forbidden = "forbidden", FORBIDDEN, "Not allowed", "Use a key that holds the scope that the message names.";
    NotFound = "not_found", NOT_FOUND, "Not found", "List what exists, or check the name.";
    Conflict = "conflict", CONFLICT, "Conflict", "Read the present state and try again.";
    GateFailed = "gate_failed", CONFLICT, "The gate did not pass", "Read the gate's rules; give `override_gate` with a reason to go on all the same.";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Too large", "Send less at once, or upload it as a blob.";
    Unprocessable = "unprocessable", UNPROCESSABLE_ENTITY, "Cannot be done", "Correct what the message names.";
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests", "Wait for the time in Retry-After.";
    StorageFull = "storage_full", INSUFFICIENT_STORAGE, "No space left", "Free space in the data folder; nothing that was acknowledged is lost.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available now", "Try again in a moment.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something broke in Pelton", "Look for the request id in the server's log.";
}

/// An error on its way to a caller.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    hint: Option<String>,
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong and what to do about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// One of the codes of docs/errors.md.
    pub code: String,
    /// A short name for people.
    pub title: String,
    /// What happened, with the names that it happened to.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// Names the request in the server's log.
    pub request_id: Option<String>,
}

impl ApiError {
    /// An error of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same error with a hint that fits better than the code's.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something that should not happen: its source is logged, not shown.
    pub fn internal(source: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!(error = %chain, "request failed");
        if chain.contains("database or disk is full") || chain.contains("No space left") {
            return Self::new(Code::StorageFull, "the data folder has no space left");
        }
        Self::new(Code::Internal, "the server could not do this")
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code.name().into(),
                title: self.code.title().into(),
                message: self.message,
                hint: self.hint.unwrap_or_else(|| self.code.hint().into()),
                request_id: crate::authenticate::current_request().map(|id| id.to_string()),
            },
        };
        let mut response = (self.code.status(), Json(body)).into_response();
        if matches!(self.code, Code::Unavailable | Code::TooManyRequests) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Forbidden(_) => Code::Forbidden,
            StoreError::NotFound { .. } => Code::NotFound,
            StoreError::Conflict { .. } | StoreError::Stale { .. } | StoreError::Fenced(_) => {
                Code::Conflict
            }
            StoreError::Invalid(_) | StoreError::BadCursor => Code::InvalidRequest,
            StoreError::DeadlineExceeded => Code::Unavailable,
            StoreError::DiskFull => Code::StorageFull,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<pelton_context::Forbidden> for ApiError {
    fn from(refused: pelton_context::Forbidden) -> Self {
        Self::new(Code::Forbidden, refused.to_string())
    }
}
