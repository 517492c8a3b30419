//! Models that think before they answer, as Qwen 3 and DeepSeek R1 do.

use super::*;

/// Begins the answer's reasoning; or ends it at once, as Qwen 3 does when it shall not think.
const THINKING: &str = "{% for message in messages %}<|user|>{{ message.content }}{% endfor %}<|assistant|>\
    {% if enable_thinking is defined and enable_thinking is false %}<think></think>{% else %}<think>\n{% endif %}";

fn thinking_engine() -> Router {
    let folder = model_folder();
    let path = folder.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["chat_template"] = json!(THINKING);
    std::fs::write(&path, config.to_string()).unwrap();
    router(EngineState::load(&options(folder.path())).unwrap())
}

#[tokio::test]
async fn what_is_written_before_the_end_mark_is_reasoning() {
    let app = thinking_engine();
    let (status, answer) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    let message = &answer["choices"][0]["message"];
    let reasoning = message["reasoning"].as_str().unwrap();
    assert!(!reasoning.is_empty());
    assert_eq!(message["content"], "", "it was cut off while it thought");

    let body = chat(json!({ "stream": true })).to_string();
    let (_, stream) = post_text(&app, "/v1/chat/completions", body).await;
    let (events, done) = events(&stream);
    assert!(done);
    let deltas = || events.iter().map(|event| &event["choices"][0]["delta"]);
    let streamed: String = deltas().filter_map(|delta| delta["reasoning"].as_str()).collect();
    assert_eq!(streamed, reasoning);
    assert!(deltas().all(|delta| delta["content"].as_str().unwrap_or_default().is_empty()));
}

#[tokio::test]
async fn a_prompt_that_ends_reasoning_and_a_grammar_leave_the_answer_whole() {
    let app = thinking_engine();
    let silent = chat(json!({ "chat_template_kwargs": { "enable_thinking": false } }));
    let (_, answer) = post(&app, "/v1/chat/completions", &silent).await;
    let message = &answer["choices"][0]["message"];
    assert!(message.get("reasoning").is_none() && !message["content"].as_str().unwrap().is_empty());
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 20, "the template saw it");

    let chosen = chat(json!({ "structured_outputs": { "choice": ["yes", "no"] } }));
    let (_, answer) = post(&app, "/v1/chat/completions", &chosen).await;
    let message = &answer["choices"][0]["message"];
    assert!(["yes", "no"].contains(&message["content"].as_str().unwrap()), "{message}");

    let named = chat(json!({ "chat_template_kwargs": ["enable_thinking"] }));
    let (status, _) = post(&app, "/v1/chat/completions", &named).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
