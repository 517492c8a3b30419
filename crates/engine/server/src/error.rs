//! Why the engine does not start, and what a request is told when it fails.

use std::path::PathBuf;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pelton_constrain::Broken;
use pelton_encoder::EncoderError;
use pelton_llm_types::ErrorBody;
use pelton_model::ModelError;
use pelton_scheduler::{AdapterError, SchedulerError, SubmitError};
use pelton_tokens::TokensError;

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Why an engine cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The model's weights or configuration cannot be used.
    #[error("the model cannot be loaded: {0}")]
    Model(#[from] ModelError),
    /// The tokenizer or template cannot be used.
    #[error("the model cannot be loaded: {0}")]
    Tokens(#[from] TokensError),
    /// The scheduler refuses the model.
    #[error("the model cannot be served: {0}")]
    Scheduler(#[from] SchedulerError),
    /// The embedding or reranking model cannot be used.
    #[error("the model cannot be loaded: {0}")]
    Reader(#[from] EncoderError),
    /// There is not enough memory.
    #[error(
        "the model needs about {} of memory, but {} can be had: keep its weights in fewer bits \
         (engine.quantization q8_0 or q4_k_m), serve a smaller model, or use a machine with more memory",
        gib(*needed), gib(*room)
    )]
    Memory {
        /// Bytes that would be taken.
        needed: u64,
        /// Bytes that may be.
        room: u64,
    },
    /// Adapters were given for a model that takes none.
    #[error("embedding and reranking models take no adapters; start the engine without them")]
    AdaptersOfReader,
    /// An adapter given at start cannot be used.
    #[error("the adapter `{name}` cannot be loaded: {source}")]
    Adapter {
        /// Its name.
        name: String,
        /// Why.
        source: AdapterError,
    },
    /// A JSON file of the model folder does not parse.
    #[error("{} is not valid JSON: {detail}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// The address is not on this machine's loopback.
    #[error("{0} is not a loopback address; the engine is only reached through the gateway")]
    NotLoopback(std::net::SocketAddr),
    /// The socket cannot be opened or served.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// A thread of the engine failed; the log says where.
    #[error("the engine failed and must be started again")]
    Died,
    /// Loading was interrupted.
    #[error("loading the model was interrupted")]
    Interrupted,
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    parameter: Option<String>,
    message: String,
}

impl ApiError {
    /// The caller must change the request.
    pub(crate) fn bad_request(
        code: &'static str,
        parameter: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code,
            parameter: parameter.map(str::to_owned),
            message: message.into(),
        }
    }

    /// No model or adapter has this name.
    pub(crate) fn unknown_model(name: &str, known: &[String]) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "invalid_request_error",
            code: "model_not_found",
            parameter: Some("model".to_owned()),
            message: format!("the model `{name}` does not exist; there are: {}", known.join(", ")),
        }
    }

    /// The bearer token is missing or wrong.
    pub(crate) fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            kind: "authentication_error",
            code: "invalid_api_key",
            parameter: None,
            message: "send the engine's token as `Authorization: Bearer …`".to_owned(),
        }
    }

    /// The body is larger than the limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            kind: "invalid_request_error",
            code: "request_too_large",
            parameter: None,
            message: format!("the request body is larger than {limit} bytes"),
        }
    }

    /// Nothing is at this address, or not with this method.
    pub(crate) fn unknown_route(status: StatusCode, message: String) -> Self {
        Self {
            status,
            kind: "invalid_request_error",
            code: "unknown_url",
            parameter: None,
            message,
        }
    }

    /// The model is of another kind: it does `what`, at `route`.
    pub(crate) fn wrong_kind(model: &str, what: &str, route: &str) -> Self {
        let message =
            format!("the model `{model}` {what}: send it POST {route}, or ask another model");
        Self::bad_request("wrong_model_kind", Some("model"), message)
    }

    /// Too many requests wait already.
    pub(crate) fn overloaded(waiting: usize) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "overloaded_error",
            code: "overloaded",
            parameter: None,
            message: SubmitError::Overloaded { waiting }.to_string(),
        }
    }

    /// The engine ended in the middle of a request.
    pub(crate) fn stopped() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            code: "engine_stopped",
            parameter: None,
            message: "the engine is stopping; try again in a moment".to_owned(),
        }
    }

    /// The grammar allowed nothing any more, or cost too much.
    pub(crate) fn broken_grammar(broken: &Broken) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            kind: "invalid_request_error",
            code: "grammar_too_complex",
            parameter: Some("response_format".to_owned()),
            message: broken.to_string(),
        }
    }

    /// The JSON body.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody::new(self.kind, self.code, self.parameter.as_deref(), self.message.clone())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(self.body());
        let retry =
            matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (self.status, body).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl ApiError {
    /// The scheduler does not take a generation whose prompt is in `parameter`.
    pub(crate) fn not_run(error: SubmitError, parameter: &str) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::ContextTooLong { .. } => {
                Self::bad_request("context_length_exceeded", Some(parameter), message)
            }
            SubmitError::EmptyPrompt => Self::bad_request("empty_prompt", Some(parameter), message),
            SubmitError::UnknownToken { .. } => {
                Self::bad_request("invalid_token", Some(parameter), message)
            }
            SubmitError::UnknownAdapter(_) => Self {
                status: StatusCode::NOT_FOUND,
                kind: "invalid_request_error",
                code: "model_not_found",
                parameter: Some("model".to_owned()),
                message,
            },
            SubmitError::Overloaded { waiting } => Self::overloaded(waiting),
            SubmitError::Stopped => Self::stopped(),
        }
    }
}

impl From<TokensError> for ApiError {
    fn from(error: TokensError) -> Self {
        let code = match error {
            TokensError::NoChatTemplate => "no_chat_template",
            _ => "invalid_messages",
        };
        Self::bad_request(code, Some("messages"), error.to_string())
    }
}

impl From<AdapterError> for ApiError {
    fn from(error: AdapterError) -> Self {
        let message = with_sources(&error);
        match error {
            AdapterError::NotLoaded(_) => Self {
                status: StatusCode::NOT_FOUND,
                kind: "invalid_request_error",
                code: "adapter_not_found",
                parameter: Some("lora_name".to_owned()),
                message,
            },
            AdapterError::AlreadyLoaded(_) => {
                Self::bad_request("adapter_already_loaded", Some("lora_name"), message)
            }
            AdapterError::Model(_) | AdapterError::Pack(_) => {
                Self::bad_request("invalid_adapter", Some("lora_path"), message)
            }
        }
    }
}

/// An error with its causes, where they are not in its text already.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
