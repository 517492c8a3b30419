//! The HTTP surface on a small random model, without a network.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, Projection};
use pelton_tokens::{BYTE_VOCAB_SIZE, write_byte_tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::router::{BODY_LIMIT, router};
use crate::state::EngineState;
use crate::{EngineOptions, ServeError};

mod completions;
mod reasoning;

const TOKEN: &str = "secret";

fn model_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut config = DecoderConfig::small(BYTE_VOCAB_SIZE, 64, 64, 2, 2, 1);
    config.max_position_embeddings = 256;
    config.tie_word_embeddings = false;
    let mut weights = BaseModel::initialize(config.clone(), 5).unwrap().weights().to_vec();
    for weight in weights.iter_mut().filter(|weight| **weight != 1.0) {
        *weight *= 6.0;
    }
    BaseModel::new(config, weights).unwrap().save(folder.path()).unwrap();
    write_byte_tokenizer(folder.path()).unwrap();
    folder
}

fn adapter_folder(base: &Path) -> TempDir {
    let config = AdapterConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilized: false,
        targets: Projection::ALL.to_vec(),
        base_model: "random".to_owned(),
    };
    let base = DecoderConfig::load(base).unwrap();
    let mut adapter = Adapter::initialize(config, &base, 1).unwrap();
    for (_, pair) in adapter.pairs_mut() {
        for (index, b) in pair.b.iter_mut().enumerate() {
            *b = (index % 13) as f32 * 0.05 - 0.3;
        }
    }
    let folder = TempDir::new().unwrap();
    adapter.save(folder.path()).unwrap();
    folder
}

fn options(folder: &Path) -> EngineOptions {
    EngineOptions {
        served_name: "base".to_owned(),
        token: Some(TOKEN.to_owned()),
        threads: 1,
        kv_tokens: 4096,
        ..EngineOptions::new(folder)
    }
}

fn engine() -> Router {
    let folder = model_folder();
    router(EngineState::load(&options(folder.path())).unwrap())
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn post_text(app: &Router, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(body.into())
        .unwrap();
    send(app, request).await
}

async fn post(app: &Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, text) = post_text(app, path, body.to_string()).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap();
    send(app, request).await
}

fn chat(changes: Value) -> Value {
    let mut body = json!({
        "model": "base",
        "messages": [{"role": "user", "content": "Hello there"}],
        "max_tokens": 12, "temperature": 0, "ignore_eos": true,
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The JSON of every event, and whether the stream ended with `[DONE]`.
fn events(stream: &str) -> (Vec<Value>, bool) {
    let mut data: Vec<&str> = stream
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    let done = data.last() == Some(&"[DONE]");
    data.pop_if(|last| *last == "[DONE]");
    (data.iter().map(|event| serde_json::from_str(event).unwrap()).collect(), done)
}

#[tokio::test]
async fn an_answer_has_openai_shape_and_counts() {
    let app = engine();
    let (status, answer) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "base");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    // <bos>, <|user|>, eleven bytes, <|assistant|>.
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 14, "completion_tokens": 12, "total_tokens": 26,
               "prompt_tokens_details": {"cached_tokens": 0}})
    );
}

#[tokio::test]
async fn a_stream_carries_the_unary_answer() {
    let app = engine();
    let (_, unary) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    let body = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let (status, stream) = post_text(&app, "/v1/chat/completions", body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (events, done) = events(&stream);
    assert!(done);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(unary["choices"][0]["message"]["content"], text);
    let last = events.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(12)));
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "length");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
}

#[tokio::test]
async fn several_choices_differ_and_repeat_with_the_seed() {
    let app = engine();
    let body = chat(json!({"n": 3, "seed": 7, "temperature": 1.5}));
    let texts = |answer: &Value| -> Vec<Value> {
        let choices = answer["choices"].as_array().unwrap();
        choices.iter().map(|choice| choice["message"]["content"].clone()).collect()
    };
    let (_, first) = post(&app, "/v1/chat/completions", &body).await;
    let (_, second) = post(&app, "/v1/chat/completions", &body).await;
    assert_eq!(texts(&first).len(), 3);
    assert_eq!(texts(&first), texts(&second));
    assert_ne!(texts(&first)[0], texts(&first)[1]);
    assert_eq!(first["usage"]["completion_tokens"], 36);
    let (_, stream) =
        post_text(&app, "/v1/chat/completions", chat(json!({"n": 2, "stream": true})).to_string())
            .await;
    let (events, done) = events(&stream);
    let closed: Vec<&Value> = events
        .iter()
        .flat_map(|event| event["choices"].as_array().unwrap())
        .filter(|choice| choice["finish_reason"] == "length")
        .map(|choice| &choice["index"])
        .collect();
    assert!(done);
    assert_eq!(closed.len(), 2);
    assert_ne!(closed[0], closed[1]);
}

#[tokio::test]
async fn logprobs_come_with_alternatives() {
    let app = engine();
    let asked = json!({"logprobs": true, "top_logprobs": 2});
    let (_, answer) = post(&app, "/v1/chat/completions", &chat(asked)).await;
    let content = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 12);
    for token in content {
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
        assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
    }
    let bytes: Vec<u8> = content
        .iter()
        .flat_map(|token| token["bytes"].as_array().unwrap())
        .map(|byte| byte.as_u64().unwrap() as u8)
        .collect();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        String::from_utf8_lossy(&bytes).as_ref()
    );
    // Streamed, every token's log-probability arrives exactly once.
    let body = chat(json!({"logprobs": true, "top_logprobs": 2, "stream": true}));
    let (_, stream) = post_text(&app, "/v1/chat/completions", body.to_string()).await;
    let streamed: Vec<Value> = events(&stream)
        .0
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(streamed, *content);
}

#[tokio::test]
async fn an_adapter_is_loaded_used_replaced_and_unloaded() {
    let model = model_folder();
    let adapter = adapter_folder(model.path());
    let app = router(EngineState::load(&options(model.path())).unwrap());
    let load = json!({"lora_name": "tuned", "lora_path": adapter.path()});
    let (status, text) = post(&app, "/v1/load_lora_adapter", &load).await;
    assert_eq!(
        (status, text),
        (StatusCode::OK, json!("Success: LoRA adapter 'tuned' added successfully."))
    );
    let (_, models) = get(&app, "/v1/models").await;
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["id"], "base");
    assert_eq!(models["data"][1]["id"], "tuned");
    assert_eq!(models["data"][1]["parent"], "base");

    let text = |answer: &Value| answer["choices"][0]["message"]["content"].clone();
    let (_, base) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    let (_, tuned) = post(&app, "/v1/chat/completions", &chat(json!({"model": "tuned"}))).await;
    assert_eq!(tuned["model"], "tuned");
    assert_ne!(text(&base), text(&tuned));

    let (status, again) = post(&app, "/v1/load_lora_adapter", &load).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(again["error"]["code"], "adapter_already_loaded");
    let mut replace = load.clone();
    replace["load_inplace"] = json!(true);
    assert_eq!(post(&app, "/v1/load_lora_adapter", &replace).await.0, StatusCode::OK);

    let unload = json!({"lora_name": "tuned"});
    assert_eq!(post(&app, "/v1/unload_lora_adapter", &unload).await.0, StatusCode::OK);
    let (status, gone) = post(&app, "/v1/unload_lora_adapter", &unload).await;
    assert_eq!(
        (status, &gone["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("adapter_not_found"))
    );
    let (status, _) = post(&app, "/v1/chat/completions", &chat(json!({"model": "tuned"}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn broken_adapters_are_refused_and_nothing_changes() {
    let model = model_folder();
    let adapter = adapter_folder(model.path());
    let weights = adapter.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let app = router(EngineState::load(&options(model.path())).unwrap());
    let load = json!({"lora_name": "tuned", "lora_path": adapter.path()});
    for damage in [&bytes[..bytes.len() / 2], &[0xFF; 64], b""] {
        std::fs::write(&weights, damage).unwrap();
        let (status, refused) = post(&app, "/v1/load_lora_adapter", &load).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(refused["error"]["code"], "invalid_adapter");
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("adapter_model.safetensors")
        );
    }
    let clash = json!({"lora_name": "base", "lora_path": adapter.path()});
    assert_eq!(post(&app, "/v1/load_lora_adapter", &clash).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(&app, "/v1/chat/completions", &chat(json!({}))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn adapters_outside_the_root_are_refused() {
    let model = model_folder();
    let adapter = adapter_folder(model.path());
    let root = TempDir::new().unwrap();
    let jailed = EngineOptions { adapter_root: Some(root.path().into()), ..options(model.path()) };
    let app = router(EngineState::load(&jailed).unwrap());
    let climbing = root.path().join("..").join(adapter.path().file_name().unwrap());
    for path in [adapter.path(), &climbing] {
        let load = json!({"lora_name": "tuned", "lora_path": path});
        let (status, refused) = post(&app, "/v1/load_lora_adapter", &load).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(refused["error"]["message"].as_str().unwrap().contains("adapter root"));
    }
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let app = engine();
    let cases = [
        (json!({"model": "nobody"}), 404, "model_not_found"),
        (json!({"messages": []}), 400, "invalid_value"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            400,
            "invalid_json",
        ),
        (json!({"max_tokens": 0}), 400, "invalid_value"),
        (json!({"max_tokens": 5000}), 400, "context_length_exceeded"),
        (json!({"max_tokens": -1}), 400, "invalid_json"),
        (json!({"temperature": 9}), 400, "invalid_value"),
        (json!({"top_p": -0.5}), 400, "invalid_value"),
        (json!({"priority": 2_000_000}), 400, "invalid_value"),
        (json!({"priority": "first"}), 400, "invalid_json"),
        (json!({"user": 7}), 400, "invalid_json"),
        (json!({"n": 0}), 400, "invalid_value"),
        (json!({"n": 1000}), 400, "invalid_value"),
        (json!({"top_logprobs": 21, "logprobs": true}), 400, "invalid_value"),
        (json!({"logit_bias": {"x": 1}}), 400, "invalid_value"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
            400,
            "invalid_value",
        ),
        (json!({"response_format": {"type": "poem"}}), 400, "invalid_json"),
        (json!({"guided_regex": "["}), 400, "invalid_grammar"),
        (json!({"guided_choice": []}), 400, "invalid_grammar"),
        (json!({"guided_regex": "a", "guided_choice": ["a"]}), 400, "invalid_value"),
        (json!({"tool_choice": "required"}), 400, "invalid_value"),
        (json!({"tool_choice": "perhaps", "tools": [tool()]}), 400, "invalid_value"),
        (json!({"tool_choice": {"type": "function"}, "tools": [tool()]}), 400, "invalid_value"),
        (json!({"tools": [{"type": "function"}]}), 400, "invalid_value"),
        (json!({"tools": [{"type": "web_search"}]}), 400, "invalid_value"),
        (json!({"tools": {}}), 400, "invalid_value"),
        (
            json!({"tools": [tool()], "tool_choice": "required", "guided_regex": "a"}),
            400,
            "invalid_value",
        ),
        (json!({"audio": {"voice": "x"}}), 400, "unsupported_parameter"),
    ];
    for (changes, status, code) in cases {
        let (found, body) = post(&app, "/v1/chat/completions", &chat(changes.clone())).await;
        assert_eq!((found.as_u16(), &body["error"]["code"]), (status, &json!(code)), "{changes}");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    }
    let (_, body) = post(&app, "/v1/chat/completions", &chat(json!({"max_tokens": 5000}))).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("256 tokens") && message.contains("14 tokens of prompt"), "{message}");
    let (status, _) = post_text(&app, "/v1/chat/completions", "{\"model\": ").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&app, "/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&app, "/v1/chat/completions").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn harmless_fields_are_accepted() {
    let app = engine();
    let body = chat(json!({
        "user": "u", "metadata": {"session": "s"}, "store": false, "response_format": {"type": "text"},
        "tool_choice": "auto", "tools": [], "stop": null, "seed": -3, "top_k": -1,
        "logit_bias": {"40": -100}, "parallel_tool_calls": true, "modalities": ["text"],
    }));
    assert_eq!(post(&app, "/v1/chat/completions", &body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let app = engine();
    let (status, text) = post_text(&app, "/v1/chat/completions", vec![b' '; BODY_LIMIT + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("request_too_large"), "{text}");
}

#[tokio::test]
async fn nobody_without_the_token_gets_more_than_health() {
    let app = engine();
    for path in ["/v1/models", "/metrics", "/v1/nothing"] {
        let plain = Request::get(path).body(Body::empty()).unwrap();
        let (status, text) = send(&app, plain).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(text.contains("invalid_api_key"));
        let wrong = Request::get(path).header("authorization", "Bearer secreT");
        let (status, _) = send(&app, wrong.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let health = Request::get("/healthz").body(Body::empty()).unwrap();
    assert_eq!(send(&app, health).await, (StatusCode::OK, "ok\n".to_owned()));
}

#[tokio::test]
async fn an_engine_that_ended_is_not_healthy() {
    let folder = model_folder();
    let state = EngineState::load(&options(folder.path())).unwrap();
    let app = router(state.clone());
    state.shared.scheduler.stop();
    state.shared.scheduler.ended().await;
    for path in ["/healthz", "/v1/chat/completions"] {
        let (status, body) = if path == "/healthz" {
            get(&app, path).await
        } else {
            post_text(&app, path, chat(json!({})).to_string()).await
        };
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(body.contains("engine_stopped"), "{body}");
    }
}

#[tokio::test]
async fn tokens_can_be_counted_and_read_back() {
    let app = engine();
    let messages =
        json!({"messages": [{"role": "user", "content": "Hé"}], "return_token_strs": true});
    let (_, counted) = post(&app, "/tokenize", &messages).await;
    assert_eq!(counted["count"], 6);
    assert_eq!(counted["max_model_len"], 256);
    assert_eq!(counted["token_strs"][0], "<bos>");
    let (_, text) = post(&app, "/detokenize", &json!({"tokens": counted["tokens"]})).await;
    assert_eq!(text["prompt"], "Hé");
    let (_, prompt) = post(&app, "/tokenize", &json!({"prompt": "abc"})).await;
    assert_eq!(prompt["count"], 3);
    assert_eq!(post(&app, "/tokenize", &json!({})).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn metrics_count_what_was_done() {
    let app = engine();
    post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    let (status, page) = get(&app, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "vllm:prompt_tokens_total{model_name=\"base\"} 14",
        "vllm:generation_tokens_total{model_name=\"base\"} 12",
        "vllm:request_success_total{model_name=\"base\",finished_reason=\"length\"} 1",
        "vllm:e2e_request_latency_seconds_count{model_name=\"base\"} 1",
        "# TYPE vllm:time_to_first_token_seconds histogram",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn generation_config_decides_what_a_request_leaves_open() {
    let folder = model_folder();
    std::fs::write(folder.path().join("generation_config.json"), r#"{"do_sample": false}"#)
        .unwrap();
    let app = router(EngineState::load(&options(folder.path())).unwrap());
    let open = chat(json!({"temperature": null}));
    let (_, greedy) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    let (_, found) = post(&app, "/v1/chat/completions", &open).await;
    assert_eq!(found["choices"], greedy["choices"]);
}

#[tokio::test]
async fn broken_models_and_open_addresses_do_not_start() {
    let folder = model_folder();
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 7]).unwrap();
    let error = EngineState::load(&options(folder.path())).err().unwrap().to_string();
    assert!(error.contains("model.safetensors") && error.contains("damaged"), "{error}");
    let open = EngineOptions {
        bind: crate::Bind::Tcp(([0, 0, 0, 0], 0).into()),
        ..options(folder.path())
    };
    assert!(matches!(crate::serve(open).await, Err(ServeError::NotLoopback(_))));
}

/// The answer of a request whose format is asked for in `format`.
async fn formatted(app: &Router, format: Value) -> String {
    let mut body = chat(json!({"max_tokens": 200, "temperature": 1.0, "seed": 4}));
    body.as_object_mut().unwrap().extend(format.as_object().unwrap().clone());
    let (status, answer) = post(app, "/v1/chat/completions", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
    answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn answers_follow_the_format_that_is_asked_for() {
    let app = engine();
    let schema = json!({
        "type": "object",
        "properties": { "found": { "type": "boolean" }, "id": { "enum": ["a", "b"] } },
        "required": ["found", "id"],
        "additionalProperties": false
    });
    let wrapped = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    for format in [
        json!({"response_format": wrapped}),
        json!({"guided_json": schema}),
        json!({"structured_outputs": {"json": schema.to_string()}}),
    ] {
        let text = formatted(&app, format.clone()).await;
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["found"].is_boolean() && value["id"].is_string(), "{format}: {text}");
    }
    let pattern = json!({"structured_outputs": {"regex": "[0-9]{4}"}});
    let text = formatted(&app, pattern).await;
    assert!(text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    let choice = formatted(&app, json!({"guided_choice": ["north", "south"]})).await;
    assert!(["north", "south"].contains(&choice.as_str()), "{choice}");
}

#[tokio::test]
async fn a_streamed_answer_follows_its_format_too() {
    let app = engine();
    let body = chat(json!({
        "max_tokens": 200, "seed": 4, "stream": true, "n": 2,
        "response_format": {"type": "regex", "pattern": "(ab|cd){3}"},
    }));
    let (status, text) = post_text(&app, "/v1/chat/completions", body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let mut texts = [String::new(), String::new()];
    for line in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        for choice in chunk["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap() as usize;
            texts[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        }
    }
    for text in texts {
        assert_eq!(text.replace("ab", "").replace("cd", ""), "", "{text}");
        assert_eq!(text.len(), 6);
    }
}

/// A function with one argument of two possible values.
fn tool() -> Value {
    json!({"type": "function", "function": {
        "name": "find_bill",
        "parameters": {
            "type": "object",
            "properties": {"kind": {"enum": ["phone", "water"]}},
            "required": ["kind"],
            "additionalProperties": false
        }
    }})
}

#[tokio::test]
async fn a_tool_is_called_where_that_is_asked_for() {
    let app = engine();
    for choice in
        [json!("required"), json!({"type": "function", "function": {"name": "find_bill"}})]
    {
        let body = chat(json!({
            "tools": [tool()], "tool_choice": choice, "parallel_tool_calls": false,
            "max_tokens": 200, "temperature": 1.0, "seed": 9, "n": 2,
        }));
        let (status, answer) = post(&app, "/v1/chat/completions", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let mut ids = Vec::new();
        for choice in answer["choices"].as_array().unwrap() {
            assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
            assert_eq!(choice["message"]["content"], Value::Null);
            let calls = choice["message"]["tool_calls"].as_array().unwrap();
            assert_eq!(calls.len(), 1);
            assert_eq!(calls[0]["function"]["name"], "find_bill");
            let arguments: Value =
                serde_json::from_str(calls[0]["function"]["arguments"].as_str().unwrap()).unwrap();
            assert!(["phone", "water"].contains(&arguments["kind"].as_str().unwrap()));
            ids.push(calls[0]["id"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[tokio::test]
async fn a_streamed_call_is_the_same_as_a_whole_one() {
    let app = engine();
    let body = chat(json!({
        "tools": [tool()], "tool_choice": "required", "max_tokens": 200, "temperature": 1.0,
        "seed": 9, "parallel_tool_calls": false,
    }));
    let (_, whole) = post(&app, "/v1/chat/completions", &body).await;
    let mut streamed = body;
    streamed["stream"] = true.into();
    let (_, text) = post_text(&app, "/v1/chat/completions", streamed.to_string()).await;
    let (chunks, done) = events(&text);
    assert!(done);
    let calls: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls"))
        .flat_map(|calls| calls.as_array().unwrap())
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["index"], 0);
    let expected = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(&calls[0]["function"], expected);
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
    assert!(!text.contains("tool_call>"), "the marks are not part of the text");
}

#[tokio::test]
async fn tools_that_are_only_offered_change_nothing_else() {
    let app = engine();
    let (_, with) = post(
        &app,
        "/v1/chat/completions",
        &chat(json!({"tools": [tool()], "tool_choice": "none"})),
    )
    .await;
    let (_, without) = post(&app, "/v1/chat/completions", &chat(json!({}))).await;
    assert_eq!(with["choices"][0]["message"], without["choices"][0]["message"]);
}
