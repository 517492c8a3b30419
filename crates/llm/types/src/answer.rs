//! Answers, whole and in pieces, unknown fields kept.

use crate::message::{ToolCall, null_as_empty};
use crate::usage::{Usage, if_readable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A whole answer: `chat.completion` or `text_completion`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The upstream's id of the answer.
    #[serde(default)]
    pub id: String,
    /// `chat.completion` or `text_completion`
    #[serde(default)]
    pub object: String,
    /// Seconds since the epoch.
    #[serde(default)]
    pub created: i64,
    /// What answered, in the upstream's words.
    #[serde(default)]
    pub model: String,
    /// One or more alternatives.
    pub choices: Vec<Choice>,
    /// Token counts, where the upstream says them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_readable")]
    pub usage: Option<Usage>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One alternative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Which alternative it is.
    #[serde(default)]
    pub index: u32,
    /// What the model says, in a conversation.
    #[serde(default, skip_serializing_if = "AnswerMessage::is_absent")]
    pub message: AnswerMessage,
    /// What the model writes after a plain prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `stop`, `length`, `tool_calls`, `content_filter`.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// Log probabilities, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Value>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The message of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerMessage {
    /// `assistant`
    #[serde(default)]
    pub role: String,
    /// The text; null where only tools are called.
    #[serde(default)]
    pub content: Option<String>,
    /// Calls that the model asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Everything else, as sent: refusals, reasoning.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A piece of a streamed answer: `chat.completion.chunk`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The upstream's id of the answer.
    #[serde(default)]
    pub id: String,
    /// `chat.completion.chunk`
    #[serde(default)]
    pub object: String,
    /// Seconds since the epoch.
    #[serde(default)]
    pub created: i64,
    /// What answers, in the upstream's words.
    #[serde(default)]
    pub model: String,
    /// Pieces of the alternatives; empty in a chunk that only carries usage.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub choices: Vec<ChunkChoice>,
    /// Token counts: usually in the last chunk, but accepted on any.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_readable")]
    pub usage: Option<Usage>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A piece of one alternative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkChoice {
    /// Which alternative it belongs to.
    #[serde(default)]
    pub index: u32,
    /// What is added to a message.
    #[serde(default)]
    pub delta: Delta,
    /// What is added to a plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Set in the alternative's last piece.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// Log probabilities of the added tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Value>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a piece adds to a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Set in the first piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Pieces of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
    /// Everything else, as sent: refusals, reasoning.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A piece of a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCallDelta {
    /// Which call of the message it belongs to.
    #[serde(default)]
    pub index: u32,
    /// Set in the call's first piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Set in the call's first piece.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `name` in the first piece, `arguments` to append in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Value>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Answer {
    /// The text of the first alternative.
    #[must_use]
    pub fn text(&self) -> &str {
        let first = self.choices.first();
        let text =
            first.and_then(|choice| choice.text.as_deref().or(choice.message.content.as_deref()));
        text.unwrap_or("")
    }
}

impl AnswerMessage {
    /// Whether there is no message at all: a plain prompt was completed.
    fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

impl Chunk {
    /// Whether the piece shows the caller something that could not be taken back: text, a call, or
    /// an end. A role alone is not content.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.choices.iter().any(|choice| {
            let Delta { role: _, content, tool_calls, rest } = &choice.delta;
            choice.finish_reason.is_some()
                || choice.text.as_deref().is_some_and(|text| !text.is_empty())
                || content.as_deref().is_some_and(|text| !text.is_empty())
                || !tool_calls.is_empty()
                || rest.values().any(|value| value.as_str().is_some_and(|text| !text.is_empty()))
        })
    }
}
