//! Token counts as upstreams report them, and normalized.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The `usage` object of OpenAI's dialect. Prompt tokens include cached ones, completion tokens
/// include reasoning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Their sum.
    #[serde(default)]
    pub total_tokens: u64,
    /// How the prompt's tokens divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptDetails>,
    /// How the answer's tokens divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionDetails>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Counts in a shape that nobody knows are no counts; the answer around them still is one.
pub(crate) fn if_readable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usage>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// The kinds of prompt tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptDetails {
    /// Tokens read from a prompt cache.
    #[serde(default)]
    pub cached_tokens: Option<u64>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The kinds of answer tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionDetails {
    /// Tokens spent on reasoning that is not shown.
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Token counts by kind, by one convention for every dialect: `prompt` includes `cached`,
/// `completion` includes `reasoning`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Those of them that came from a cache; none where the upstream does not say.
    pub cached: Option<u64>,
    /// Tokens of the answer.
    pub completion: u64,
    /// Those of them spent on reasoning; none where the upstream does not say.
    pub reasoning: Option<u64>,
}

impl From<&Usage> for TokenUsage {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens,
            cached: usage.prompt_tokens_details.as_ref().and_then(|kinds| kinds.cached_tokens),
            completion: usage.completion_tokens,
            reasoning: usage
                .completion_tokens_details
                .as_ref()
                .and_then(|kinds| kinds.reasoning_tokens),
        }
    }
}
