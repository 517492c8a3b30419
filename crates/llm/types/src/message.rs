//! Messages of a conversation, unknown fields kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One message of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What it says; null where only tools are called.
    #[serde(default)]
    pub content: Option<Content>,
    /// The calls that an assistant's message asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The content of a message: a text, or parts of several kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts as sent: `{"type":"text","text":…}`, images, audio, files.
    Parts(Vec<Value>),
}

/// A call of a function that the model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call, so that a tool's message can answer it.
    pub id: String,
    /// `function`, or `custom`.
    #[serde(rename = "type", default = "function")]
    pub kind: String,
    /// Which function with which arguments; absent for custom tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionCall>,
    /// Everything else, as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A function's name and its arguments as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// The function's name.
    pub name: String,
    /// JSON text, which the model may have got wrong.
    pub arguments: String,
}

fn function() -> String {
    "function".into()
}

pub(crate) fn null_as_empty<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Message {
    /// A message that says `text`.
    #[must_use]
    pub fn text(role: &str, text: &str) -> Self {
        Self {
            role: role.into(),
            content: Some(Content::Text(text.into())),
            tool_calls: Vec::new(),
            tool_call_id: None,
            rest: Map::new(),
        }
    }
}

/// The text of a content: text parts joined by newlines, other parts left out.
#[must_use]
pub fn text_of(content: Option<&Content>) -> String {
    match content {
        None => String::new(),
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Parts(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let sent = json!({
            "role": "assistant", "content": null, "name": "bot",
            "tool_calls": [{"id": "c1", "type": "function",
                            "function": {"name": "f", "arguments": "{}"}, "extra": 1}],
        });
        let message: Message = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), sent);
    }

    #[test]
    fn text_of_parts() {
        let content: Content = serde_json::from_value(json!([
            {"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}
        ]))
        .unwrap();
        assert_eq!(text_of(Some(&content)), "a\nb");
    }
}
