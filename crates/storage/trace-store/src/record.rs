//! One inference as it was served: the narrow summary that lists and charts read, and the payload
//! that only a detail view or a dataset needs.

use pelton_ids::{InferenceId, Micros, ProjectId, ReleaseId, TraceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Characters in a preview.
pub const PREVIEW_CHARS: usize = 256;

/// Bytes of input and of output text that a text search sees.
pub const SEARCHED_BYTES: usize = 8 * 1024;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The whole answer reached the caller.
    Ok,
    /// No answer: the upstream or Pelton failed.
    Error,
    /// The caller went away.
    Cancelled,
    /// The answer was cut short by a failure after its first token.
    Partial,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Cancelled, Self::Partial];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Partial => "partial",
        }
    }

    /// Whether the call counts as failed. A caller that went away is no failure of the release.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Partial)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a status: ok, error, cancelled or partial"))
    }
}

/// The narrow columns of one inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// Names the inference, and the record: a second record of the same id is ignored.
    pub id: InferenceId,
    /// The task of the application that the call belongs to.
    pub trace_id: Option<TraceId>,
    /// The tenant.
    pub project: ProjectId,
    /// When the request arrived.
    pub started_at: Micros,
    /// The endpoint or model name that the caller asked for.
    pub endpoint: String,
    /// The release that answered, where one did.
    pub release_id: Option<ReleaseId>,
    /// Its name.
    pub release_name: Option<String>,
    /// The model that the target was asked for.
    pub model: String,
    /// The target: the engine, or a provider's name.
    pub provider: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed, as a code.
    pub error_code: Option<String>,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// Microseconds from arrival to the last byte.
    pub latency_us: i64,
    /// Microseconds from arrival to the first token.
    pub ttft_us: Option<i64>,
    /// Tokens read.
    pub prompt_tokens: Option<i64>,
    /// Tokens written.
    pub completion_tokens: Option<i64>,
    /// Cost in billionths of a US dollar; absent where no price is known.
    pub cost_nanousd: Option<i64>,
    /// The configuration that routed the call.
    pub config_hash: Option<String>,
    /// The price list that the cost was computed with.
    pub price_version: Option<String>,
    /// What the assignment to a release sticks to: a user, a session.
    pub unit: Option<String>,
    /// The application's own labels.
    pub tags: BTreeMap<String, String>,
    /// The first [`PREVIEW_CHARS`] characters of the input; cut by the store when empty.
    pub preview_input: String,
    /// The first [`PREVIEW_CHARS`] characters of the output; cut by the store when empty.
    pub preview_output: String,
}

/// The bytes of one inference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The request body as the caller sent it.
    pub request: Vec<u8>,
    /// The response body, or the answer gathered from the stream.
    pub response: Option<Vec<u8>>,
    /// The routing decision and its attempts, as JSON.
    pub route: String,
    /// The text that was answered to, for previews and search. When absent the store takes the
    /// last user message of `request`.
    pub input: Option<String>,
    /// The answer's text.
    pub output: String,
}

/// One inference in full.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRecord {
    /// The narrow columns.
    pub summary: TraceSummary,
    /// The bytes.
    pub payload: Payload,
}

impl TraceRecord {
    /// Fills in the input text and the previews from the payload, where the writer of the record
    /// left them empty.
    pub(crate) fn complete(&mut self) {
        let Payload { request, input, output, .. } = &mut self.payload;
        let input = input.get_or_insert_with(|| last_user_text(request));
        if self.summary.preview_input.is_empty() {
            self.summary.preview_input = first_chars(input, PREVIEW_CHARS).to_owned();
        }
        if self.summary.preview_output.is_empty() {
            self.summary.preview_output = first_chars(output, PREVIEW_CHARS).to_owned();
        }
    }

    /// Bytes that the record takes up while it waits to be written, about.
    pub(crate) fn weight(&self) -> usize {
        let payload = &self.payload;
        512 + payload.request.len()
            + payload.response.as_ref().map_or(0, Vec::len)
            + payload.route.len()
            + payload.input.as_ref().map_or(0, String::len)
            + payload.output.len()
    }
}

/// The text of the last user message of an OpenAI chat request; empty when there is none.
#[must_use]
pub fn last_user_text(request: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        role: String,
        #[serde(default)]
        content: serde_json::Value,
    }
    let Ok(Request { messages }) = serde_json::from_slice(request) else { return String::new() };
    let Some(message) = messages.into_iter().rev().find(|message| message.role == "user") else {
        return String::new();
    };
    match message.content {
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(parts) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The first `count` characters of `text`.
pub(crate) fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// At most the first `count` bytes of `text`, cut between characters.
pub(crate) fn first_bytes(text: &str, count: usize) -> &str {
    &text[..text.floor_char_boundary(count)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_last_user_message() {
        let check = |request: &str, expect: &str| {
            assert_eq!(last_user_text(request.as_bytes()), expect, "{request}");
        };
        check(
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":null}]}"#,
            "c",
        );
        check(
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]}]}"#,
            "a\nb",
        );
        check(r#"{"messages":[{"role":"system","content":"s"}]}"#, "");
        check(r#"{"prompt":"p"}"#, "");
        check("{broken", "");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(first_chars("añb", 2), "añ");
        assert_eq!(first_chars("añ", 9), "añ");
        assert_eq!(first_bytes("añb", 2), "a");
        assert_eq!(first_bytes("añb", 3), "añ");
    }
}
