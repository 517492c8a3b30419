//! Edits of a request by span: what is not edited keeps its bytes.

use crate::message::Message;
use crate::request::InferenceRequest;
use bytes::Bytes;
use serde_json::Value;
use std::ops::Range;

/// A change of a request's top level.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Gives the member this value, adding it where it is absent.
    Set(&'static str, Value),
    /// Puts a message before all others.
    PrependMessage(Message),
}

impl InferenceRequest {
    /// The body with `edits` applied; the very same bytes where there are none.
    #[must_use]
    pub fn edited(&self, edits: &[Edit]) -> Bytes {
        if edits.is_empty() {
            return self.body().clone();
        }
        let mut changes: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        for edit in edits {
            match edit {
                Edit::Set(name, value) => self.set(name, value, &mut changes),
                Edit::PrependMessage(message) => self.prepend(message, &mut changes),
            }
        }
        changes.sort_by_key(|(at, _)| at.start);
        splice(self.body(), &changes)
    }

    fn set(&self, name: &str, value: &Value, changes: &mut Vec<(Range<usize>, Vec<u8>)>) {
        let json = value.to_string();
        let before = changes.len();
        for member in self.members().iter().filter(|member| member.name == name) {
            changes.push((member.value.clone(), json.clone().into_bytes()));
        }
        if changes.len() == before {
            let after_brace = self.body().iter().position(|&byte| byte == b'{').unwrap_or(0) + 1;
            let added = format!("{}:{json},", Value::from(name));
            changes.push((after_brace..after_brace, added.into_bytes()));
        }
    }

    fn prepend(&self, message: &Message, changes: &mut Vec<(Range<usize>, Vec<u8>)>) {
        let Ok(mut json) = serde_json::to_vec(message) else { return };
        json.push(b',');
        for member in self.members().iter().filter(|member| member.name == "messages") {
            let after_bracket = member.value.start + 1;
            changes.push((after_bracket..after_bracket, json.clone()));
        }
    }
}

fn splice(body: &[u8], changes: &[(Range<usize>, Vec<u8>)]) -> Bytes {
    let grown: usize = changes.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut from = 0;
    for (at, new) in changes {
        out.extend_from_slice(&body[from..at.start]);
        out.extend_from_slice(new);
        from = at.end;
    }
    out.extend_from_slice(&body[from..]);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestKind;
    use proptest::prelude::*;
    use serde_json::json;

    const BODY: &str = "{ \"model\" : \"telco\",\"x\":[1, 2],\n \"messages\": [ {\"role\":\"user\",\"content\":\"h\\u0069\"}] }";

    fn edited(edits: &[Edit]) -> String {
        let request = InferenceRequest::parse(RequestKind::Chat, Bytes::from(BODY)).unwrap();
        String::from_utf8(request.edited(edits).to_vec()).unwrap()
    }

    #[test]
    fn only_the_needed_span_changes() {
        assert_eq!(edited(&[]), BODY);
        assert_eq!(
            edited(&[Edit::Set("model", json!("telco@2"))]),
            BODY.replace("\"telco\"", "\"telco@2\"")
        );
        assert_eq!(
            edited(&[
                Edit::Set("seed", json!(7)),
                Edit::PrependMessage(Message::text("system", "Be brief."))
            ]),
            BODY.replacen('{', "{\"seed\":7,", 1)
                .replace("[ {", "[{\"role\":\"system\",\"content\":\"Be brief.\"}, {")
        );
    }

    proptest! {
        #[test]
        fn an_edited_body_reads_as_the_edited_value(
            text in "[ -~ä\n]{0,20}", number in any::<i64>(), name in "[a-z]{1,6}x",
        ) {
            let mut value = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
            value[&name] = json!({"deep": [number, text, null]});
            let request = InferenceRequest::parse(RequestKind::Chat, Bytes::from(value.to_string())).unwrap();
            let edited = request.edited(&[
                Edit::Set("model", json!(text)),
                Edit::Set("temperature", json!(number)),
            ]);
            value["model"] = json!(text);
            value["temperature"] = json!(number);
            prop_assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), value);
        }
    }
}
