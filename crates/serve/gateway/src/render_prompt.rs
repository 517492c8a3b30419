//! What is sent upstream: the caller's bytes, with the release's defaults where the caller set none.

use crate::snapshot::{Release, Target};
use bytes::Bytes;
use pelton_llm_types::{Edit, InferenceRequest, Message, RequestKind, Sampling};
use serde_json::{Value, json};

/// The body for `target`.
pub(crate) fn render(
    request: &InferenceRequest,
    release: Option<&Release>,
    target: &Target,
) -> Bytes {
    let mut edits = Vec::new();
    if request.model != target.model {
        edits.push(Edit::Set("model", Value::from(target.model.clone())));
    }
    if let Some(release) = release {
        let sampling =
            if request.kind.generates() { release.sampling.members() } else { Vec::new() };
        for (name, value) in sampling {
            if !request.sets(Sampling::names(name)) {
                edits.push(Edit::Set(name, value));
            }
        }
        if let Some(prompt) = &release.system_prompt
            && request.kind == RequestKind::Chat
            && !request.has_instructions
        {
            edits.push(Edit::PrependMessage(Message::text("system", prompt)));
        }
    }
    if request.stream && !request.include_usage {
        edits.push(Edit::Set("stream_options", with_usage(request)));
    }
    request.edited(&edits)
}

/// Without it most upstreams say nothing of a stream's tokens, and the call would cost nothing.
fn with_usage(request: &InferenceRequest) -> Value {
    let given = request.member("stream_options").and_then(|json| serde_json::from_slice(json).ok());
    let mut options = given.filter(Value::is_object).unwrap_or_else(|| json!({}));
    options["include_usage"] = Value::Bool(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_egress::Reach;
    use pelton_ids::ReleaseId;

    fn rendered(body: &str, release: Option<&Release>) -> Value {
        rendered_as(RequestKind::Chat, body, release)
    }

    fn rendered_as(kind: RequestKind, body: &str, release: Option<&Release>) -> Value {
        let request =
            InferenceRequest::parse(kind, Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let target = Target {
            name: "engine".into(),
            base_url: None,
            model: "telco-desk@1".into(),
            api_key: None,
            reach: Reach::Private,
            price: None,
        };
        serde_json::from_slice(&render(&request, release, &target)).unwrap()
    }

    fn release() -> Release {
        Release {
            id: ReleaseId::from_u128(1),
            name: "r".into(),
            targets: Vec::new(),
            sampling: Sampling {
                temperature: Some(0.0),
                max_tokens: Some(64),
                seed: Some(7),
                ..Sampling::default()
            },
            system_prompt: Some("Answer in JSON.".into()),
        }
    }

    #[test]
    fn the_release_fills_what_the_caller_left_open() {
        let sent = r#"{"model":"telco","messages":[{"role":"user","content":"x"}],"seed":1,"max_completion_tokens":9,"extra":[1]}"#;
        assert_eq!(
            rendered(sent, Some(&release())),
            json!({
                "model": "telco-desk@1", "seed": 1, "max_completion_tokens": 9, "extra": [1],
                "temperature": 0.0,
                "messages": [{"role": "system", "content": "Answer in JSON."},
                             {"role": "user", "content": "x"}],
            })
        );
    }

    #[test]
    fn only_conversations_get_instructions_and_only_generation_gets_sampling() {
        let sent = r#"{"model":"telco","prompt":"Once"}"#;
        assert_eq!(
            rendered_as(RequestKind::Completion, sent, Some(&release())),
            json!({"model": "telco-desk@1", "prompt": "Once",
                   "temperature": 0.0, "max_tokens": 64, "seed": 7})
        );
        let sent = r#"{"model":"telco","input":"Once"}"#;
        assert_eq!(
            rendered_as(RequestKind::Embedding, sent, Some(&release())),
            json!({"model": "telco-desk@1", "input": "Once"})
        );
    }

    #[test]
    fn own_instructions_stand_and_usage_is_asked_for() {
        let sent = r#"{"model":"telco-desk@1","messages":[{"role":"developer","content":"x"}],"stream":true,"stream_options":{"other":1}}"#;
        let body = rendered(sent, Some(&release()));
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
        assert_eq!(body["stream_options"], json!({"other": 1, "include_usage": true}));
    }
}
