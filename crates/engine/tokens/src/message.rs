//! A chat message as templates see it: a role, a text, and whatever else the caller sent.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// One message of a conversation.
///
/// `content` is read from a string, from null (an assistant message that only calls tools) or from
/// OpenAI's list of text parts, which are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`; a template may know more.
    pub role: String,
    /// The text.
    #[serde(default, deserialize_with = "text_of_content")]
    pub content: String,
    /// Further fields (`name`, `tool_calls`, `tool_call_id`), handed to the template unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message without further fields.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extra: Map::new() }
    }
}

fn text_of_content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde::de::Error;
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
                match part.get("text").and_then(Value::as_str) {
                    Some(text) if kind == "text" || kind == "input_text" => Ok(text),
                    _ => Err(D::Error::custom(format!(
                        "content part of type `{kind}` is not text; this model reads text only"
                    ))),
                }
            })
            .collect(),
        _ => Err(D::Error::custom("content must be a string or a list of text parts")),
    }
}
