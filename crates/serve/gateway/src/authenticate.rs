//! Who calls, and may they?

use crate::refusal::GatewayError;
use async_trait::async_trait;
use pelton_context::{OpContext, Scope};
use pelton_ids::RequestId;

/// Finds out who sends a request.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller behind a bearer token, or behind none where that is allowed.
    async fn authenticate(
        &self,
        bearer: Option<&str>,
        request: RequestId,
    ) -> Result<OpContext, AuthError>;
}

/// The caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No key was sent.
    #[error(
        "No API key was sent. Send it as `Authorization: Bearer pk_…`; `pelton key create` makes one."
    )]
    Missing,
    /// The key is unknown or was revoked.
    #[error("The API key is not known, or was revoked. `pelton key list` shows the valid ones.")]
    Invalid,
    /// Keys cannot be checked at present.
    #[error("API keys cannot be checked at present: {0}. Try again in a moment.")]
    Unavailable(String),
}

pub(crate) fn may_infer(context: &OpContext) -> Result<(), GatewayError> {
    context.require(Scope::Inference).map_err(GatewayError::Forbidden)
}
