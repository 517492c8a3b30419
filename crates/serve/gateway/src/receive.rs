//! Reads a call.

use crate::refusal::GatewayError;
use bytes::Bytes;
use pelton_context::OpContext;
use pelton_ids::{InferenceId, TraceId};
use pelton_llm_types::{InferenceRequest, RequestKind};

/// A call as a surface hands it in.
#[derive(Debug)]
pub struct Call {
    /// What is asked of the model.
    pub kind: RequestKind,
    /// Who calls, for which project.
    pub context: OpContext,
    /// The body, in OpenAI's dialect, or why there is none.
    pub body: Result<Bytes, BodyError>,
    /// The session that the `x-pelton-session` header names.
    pub session: Option<String>,
    /// The trace that the call belongs to, if the application says so.
    pub trace: Option<TraceId>,
}

/// The body of a call did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("The body is longer than {limit} bytes. Send less, or raise `server.max_body_bytes`.")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// It broke off.
    #[error("The body could not be read: {0}.")]
    BrokenOff(String),
}

/// A call that was read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) request: InferenceRequest,
    pub(crate) unit: Unit,
}

/// What keeps its release from call to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The `user` field.
    User(String),
    /// A session, from the metadata or the header.
    Session(String),
    /// Nothing but the call itself.
    Call(InferenceId),
}

impl Unit {
    /// The text that is hashed.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::User(id) | Self::Session(id) => id.clone(),
            Self::Call(id) => id.to_string(),
        }
    }

    /// The caller's own id, if it gave one.
    pub(crate) fn given(&self) -> Option<&str> {
        match self {
            Self::User(id) | Self::Session(id) => Some(id),
            Self::Call(_) => None,
        }
    }

    pub(crate) const fn how(&self) -> &'static str {
        match self {
            Self::User(_) => "sticky by user",
            Self::Session(_) => "sticky by session",
            Self::Call(_) => "by chance",
        }
    }
}

pub(crate) fn read(call: Call, inference: InferenceId) -> Result<Received, GatewayError> {
    let body = call.body.map_err(GatewayError::NoBody)?;
    let request = InferenceRequest::parse(call.kind, body).map_err(GatewayError::BadRequest)?;
    let unit = unit(&request, call.session, inference);
    Ok(Received { request, unit })
}

fn unit(request: &InferenceRequest, session: Option<String>, inference: InferenceId) -> Unit {
    let filled = |text: &String| !text.is_empty();
    if let Some(user) = request.user.clone().filter(filled) {
        return Unit::User(user);
    }
    let named = request.metadata.iter().find(|(name, _)| name == "session");
    named
        .map(|(_, session)| session.clone())
        .or(session)
        .filter(filled)
        .map_or(Unit::Call(inference), Unit::Session)
}
