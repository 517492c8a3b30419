//! A request as sent, with what the gateway must know read from it.

use crate::RequestKind;
use crate::message::{Message, text_of};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// A request: the caller's bytes, and a view of the members that routing needs.
#[derive(Debug, Clone)]
pub struct InferenceRequest {
    body: Bytes,
    members: Vec<Member>,
    /// What is asked of the model.
    pub kind: RequestKind,
    /// What the caller asks for: an endpoint's name or a model reference.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller wants the usage chunk at the end of a stream.
    pub include_usage: bool,
    /// The caller's own id of its user.
    pub user: Option<String>,
    /// The `metadata` object; values that are not texts are written as JSON.
    pub metadata: Vec<(String, String)>,
    /// Whether some message already instructs the model (`system` or `developer`).
    pub has_instructions: bool,
}

/// A top-level member: its name and where its value lies in the body.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) value: Range<usize>,
}

/// The body is no request of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// What is wrong and where.
    pub message: String,
    /// The member at fault, if it is one.
    pub param: Option<&'static str>,
}

#[derive(Deserialize)]
struct View {
    #[serde(default)]
    model: Option<Value>,
    #[serde(default)]
    messages: Option<Vec<RoleOnly>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    metadata: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct RoleOnly {
    role: String,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl InferenceRequest {
    /// Reads the body of a request of this kind.
    ///
    /// # Errors
    /// [`BadRequest`], with line and column where the JSON is at fault.
    pub fn parse(kind: RequestKind, body: Bytes) -> Result<Self, BadRequest> {
        let Members(spans) =
            serde_json::from_slice(&body).map_err(|error| at_fault(kind, &error, &body))?;
        let view: View =
            serde_json::from_slice(&body).map_err(|error| at_fault(kind, &error, &body))?;
        let View { model, messages, stream, stream_options, user, metadata } = view;
        let model = match model {
            Some(Value::String(name)) if !name.is_empty() => name,
            Some(Value::String(_)) | None => {
                return Err(missing(
                    "model",
                    "the name of an endpoint, as GET /v1/models lists them",
                ));
            }
            Some(_) => return Err(missing("model", "a text: the name of an endpoint")),
        };
        let messages = messages.unwrap_or_default();
        let (input, what) = kind.input();
        let there = match kind {
            RequestKind::Chat => !messages.is_empty(),
            _ => spans.iter().any(|(name, raw)| name == input && raw.get() != "null"),
        };
        if !there {
            return Err(missing(input, what));
        }
        let start = body.as_ptr().addr();
        let members = spans
            .into_iter()
            .map(|(name, raw)| {
                let at = raw.get().as_ptr().addr() - start;
                Member { name, value: at..at + raw.get().len() }
            })
            .collect();
        Ok(Self {
            members,
            kind,
            model,
            stream: stream.unwrap_or(false) && kind.generates(),
            include_usage: stream_options.and_then(|options| options.include_usage) == Some(true),
            user,
            metadata: metadata
                .into_iter()
                .flatten()
                .map(|(name, value)| (name, plain(value)))
                .collect(),
            has_instructions: messages
                .iter()
                .any(|message| matches!(message.role.as_str(), "system" | "developer")),
            body,
        })
    }

    /// The bytes as sent.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether the caller set a member that is not null under any of `names`.
    #[must_use]
    pub fn sets(&self, names: &[&str]) -> bool {
        self.members.iter().any(|member| {
            names.contains(&member.name.as_str()) && self.body[member.value.clone()] != *b"null"
        })
    }

    /// The JSON text of the member called `name`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        let member = self.members.iter().rfind(|member| member.name == name)?;
        self.body.get(member.value.clone())
    }

    /// The messages, read in full; empty where one is in no known shape.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.member("messages")
            .and_then(|json| serde_json::from_slice(json).ok())
            .unwrap_or_default()
    }

    /// What the model is to read, at most `characters` of it: the last message that a user wrote, or
    /// the first text of the input. Empty where there are only tokens.
    #[must_use]
    pub fn input_text(&self, characters: usize) -> String {
        if self.kind != RequestKind::Chat {
            let first: Option<FirstText> =
                self.member(self.kind.input().0).and_then(|json| serde_json::from_slice(json).ok());
            let text = first.map(|FirstText(text)| text).unwrap_or_default();
            return text.chars().take(characters).collect();
        }
        self.messages()
            .iter()
            .rfind(|message| message.role == "user")
            .map(|message| text_of(message.content.as_ref()).chars().take(characters).collect())
            .unwrap_or_default()
    }
}

/// A text, or the first of a list of texts.
struct FirstText(String);

impl<'de> Deserialize<'de> for FirstText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Texts {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Texts::deserialize(from)? {
            Texts::One(text) => text,
            Texts::Many(texts) => texts.into_iter().next().unwrap_or_default(),
        }))
    }
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn missing(param: &'static str, what: &str) -> BadRequest {
    BadRequest { message: format!("`{param}` must be {what}."), param: Some(param) }
}

fn at_fault(kind: RequestKind, error: &serde_json::Error, body: &[u8]) -> BadRequest {
    let message = if body.is_empty() {
        let input = kind.input().0;
        format!("The body is empty: send a JSON object with `model` and `{input}`.")
    } else if error.is_data() {
        format!("The request has a member of the wrong type: {error}.")
    } else {
        format!("The body is not valid JSON: {error}.")
    };
    BadRequest { message, param: None }
}

/// Top-level members in order, borrowed so that their places are known.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        from.deserialize_map(Walk).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        InferenceRequest::parse(RequestKind::Chat, Bytes::copy_from_slice(body.as_bytes()))
            .unwrap_err()
            .message
    }

    #[test]
    fn reads_what_routing_needs() {
        let body = r#"{"model":"telco","messages":[{"role":"user","content":"hi"}],"stream":true,
            "stream_options":{"include_usage":true},"user":"u1","metadata":{"session":"s","n":3},"temperature":null}"#;
        let request = InferenceRequest::parse(RequestKind::Chat, Bytes::from(body)).unwrap();
        assert_eq!(
            (request.model.as_str(), request.stream, request.include_usage),
            ("telco", true, true)
        );
        assert_eq!(request.metadata, [("session".into(), "s".into()), ("n".into(), "3".into())]);
        assert_eq!(request.user.as_deref(), Some("u1"));
        assert!(
            !request.has_instructions && !request.sets(&["temperature"]) && request.sets(&["user"])
        );
        assert_eq!(request.input_text(1), "h");
        assert_eq!(request.body(), body);
    }

    #[test]
    fn other_kinds_have_other_inputs() {
        let parse = |kind, body: Value| InferenceRequest::parse(kind, body.to_string().into());
        for (kind, input, text) in [
            (RequestKind::Completion, serde_json::json!("Once upon"), "Once"),
            (RequestKind::Completion, serde_json::json!(["Once", "Twice"]), "Once"),
            (RequestKind::Completion, serde_json::json!([[1, 2]]), ""),
            (RequestKind::Embedding, serde_json::json!([1, 2]), ""),
            (RequestKind::Rerank, serde_json::json!("Once"), "Once"),
        ] {
            let mut body = serde_json::json!({"model": "m", "stream": true});
            body[kind.input().0] = input;
            let request = parse(kind, body).unwrap();
            assert_eq!(request.input_text(4), text);
            assert_eq!(request.stream, kind.generates());
        }
        let bare = serde_json::json!({"model": "m", "messages": [{"role": "user"}], "input": null});
        for kind in [RequestKind::Completion, RequestKind::Embedding, RequestKind::Rerank] {
            let refused = parse(kind, bare.clone()).unwrap_err();
            assert_eq!(refused.param, Some(kind.input().0));
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(
            refusal("{\"model\": \"m\",\n \"messages\": [}"),
            "The body is not valid JSON: expected value at line 2 column 15."
        );
        assert_eq!(
            refusal(r#"{"model":"m","messages":[{"content":"x"}]}"#),
            "The request has a member of the wrong type: missing field `role` at line 1 column 40."
        );
        assert!(refusal("").starts_with("The body is empty"));
        assert!(refusal(r#"{"messages":[{"role":"user"}]}"#).starts_with("`model` must be"));
        assert!(refusal(r#"{"model":"m","messages":[]}"#).starts_with("`messages` must be"));
        assert!(refusal("[1]").contains("wrong type"));
        assert!(
            refusal(&format!("{{\"a\":{}1", "[".repeat(100_000))).contains("EOF while parsing")
        );
        assert!(
            refusal("{\"model\":\"m\",\"messages\":[{\"role\":\"u\"}],\"x\":\"\u{0}\"}")
                .contains("control character")
        );
    }
}
