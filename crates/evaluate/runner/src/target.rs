//! What is evaluated.

use async_trait::async_trait;
use serde_json::Value;

/// How a completion is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionOptions {
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// 0 for greedy decoding.
    pub temperature: f64,
    /// For targets that sample.
    pub seed: Option<u64>,
}

impl Default for CompletionOptions {
    fn default() -> Self {
        Self { max_tokens: 128, temperature: 0.0, seed: Some(1) }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Completion {
    /// Its text.
    pub text: String,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
    /// Tokens of the prompt, where the target says.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, where the target says.
    pub completion_tokens: Option<u64>,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TargetError {
    /// What happened.
    pub message: String,
    /// Whether asking again may help.
    pub retryable: bool,
}

/// Something that answers chat messages: a model, an endpoint, a constant.
#[async_trait]
pub trait Target: Send + Sync {
    /// Answers `messages` (OpenAI chat messages).
    ///
    /// # Errors
    /// [`TargetError`] when there is no answer.
    async fn complete(
        &self,
        messages: &[Value],
        options: &CompletionOptions,
    ) -> Result<Completion, TargetError>;
}
