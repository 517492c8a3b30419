//! Plain prompts, their scores, and the tokenizer's routes.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{chat, engine, events, get, post, post_text};

fn completion(changes: Value) -> Value {
    let mut body = json!({
        "model": "base", "prompt": "Hello there", "max_tokens": 6, "temperature": 0,
        "ignore_eos": true,
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_prompt_is_completed_in_every_form() {
    let app = engine();
    let (status, plain) = post(&app, "/v1/completions", &completion(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{plain}");
    assert_eq!(plain["object"], "text_completion");
    assert!(plain["id"].as_str().unwrap().starts_with("cmpl-"));
    let text = &plain["choices"][0]["text"];
    assert!(plain["choices"][0].get("message").is_none());
    assert_eq!(plain["choices"][0]["finish_reason"], "length");
    assert_eq!(
        (&plain["usage"]["prompt_tokens"], &plain["usage"]["completion_tokens"]),
        (&json!(11), &json!(6))
    );

    let (_, told) = post(&app, "/tokenize", &json!({"prompt": "Hello there"})).await;
    let (_, other) = post(&app, "/v1/completions", &completion(json!({"prompt": "Hi"}))).await;
    let tokens = &told["tokens"];
    for (prompt, expected) in [
        (tokens.clone(), vec![text]),
        (json!([tokens]), vec![text]),
        (json!(["Hello there"]), vec![text]),
        (json!(["Hi", "Hello there"]), vec![&other["choices"][0]["text"], text]),
    ] {
        let (status, answer) =
            post(&app, "/v1/completions", &completion(json!({"prompt": prompt}))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let texts: Vec<&Value> =
            answer["choices"].as_array().unwrap().iter().map(|choice| &choice["text"]).collect();
        assert_eq!(texts, expected);
    }
    let two = completion(json!({"prompt": ["Hi", "Hello there"], "n": 2}));
    let (_, answer) = post(&app, "/v1/completions", &two).await;
    let indexes: Vec<&Value> =
        answer["choices"].as_array().unwrap().iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!(answer["choices"][3]["text"], *text);
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]),
        (&json!(13), &json!(24))
    );
}

#[tokio::test]
async fn an_echoed_prompt_is_scored_and_its_offsets_lie_in_the_text() {
    let app = engine();
    let asked = json!({"prompt": "Zażółć <eos>x", "echo": true, "logprobs": 2});
    let (status, answer) = post(&app, "/v1/completions", &completion(asked.clone())).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let choice = &answer["choices"][0];
    let text = choice["text"].as_str().unwrap();
    assert!(text.starts_with("Zażółć <eos>x"));
    let list = |name: &str| choice["logprobs"][name].as_array().unwrap().clone();
    let (tokens, logprobs, top, offsets) =
        (list("tokens"), list("token_logprobs"), list("top_logprobs"), list("text_offset"));
    // Six letters of which four have two bytes, a space, one special token, x; then six generated.
    assert_eq!(tokens.len(), 6 + 4 + 1 + 1 + 1 + 6);
    assert_eq!([logprobs.len(), top.len(), offsets.len()], [tokens.len(); 3]);
    assert_eq!((&logprobs[0], &top[0]), (&Value::Null, &Value::Null));
    assert_eq!((&tokens[3], &tokens[11]), (&json!("bytes:\\xbc"), &json!("<eos>")));
    let offsets: Vec<u64> = offsets.iter().map(|offset| offset.as_u64().unwrap()).collect();
    assert_eq!(offsets[..14], [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 12, 13]);
    assert!(offsets.windows(2).all(|pair| pair[0] <= pair[1]));
    for at in 1..tokens.len() {
        let own = logprobs[at].as_f64().unwrap();
        let top = top[at].as_object().unwrap();
        assert!(own <= 0.0 && (2..=3).contains(&top.len()), "{at}: {top:?}");
        let best = top.values().map(|value| value.as_f64().unwrap()).fold(f64::MIN, f64::max);
        assert!(own <= best);
    }
    // Greedy: what was generated was likeliest.
    for at in 13..tokens.len() {
        let best = top[at]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_f64)
            .fold(f64::MIN, f64::max);
        assert_eq!(logprobs[at].as_f64(), Some(best));
    }

    let alone = json!({"prompt": "Zażółć <eos>x", "echo": true, "logprobs": 2, "max_tokens": 0});
    let (status, scored) = post(&app, "/v1/completions", &completion(alone)).await;
    assert_eq!(status, StatusCode::OK, "{scored}");
    assert_eq!(scored["choices"][0]["text"], "Zażółć <eos>x");
    assert_eq!(scored["choices"][0]["finish_reason"], "length");
    assert_eq!(scored["usage"]["completion_tokens"], 0);
    assert_eq!(
        scored["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap()[..],
        logprobs[..13]
    );

    // The stream carries the same text and the same scores.
    let mut streamed = asked;
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let (_, stream) = post_text(&app, "/v1/completions", completion(streamed).to_string()).await;
    let (events, done) = events(&stream);
    assert!(done);
    let pieces = || events.iter().flat_map(|event| event["choices"].as_array().unwrap());
    let whole: String = pieces().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert_eq!(whole, text);
    for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        let joined: Vec<Value> = pieces()
            .filter_map(|piece| piece["logprobs"][name].as_array().cloned())
            .flatten()
            .collect();
        assert_eq!(Value::Array(joined), choice["logprobs"][name], "{name}");
    }
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 6);
    assert_eq!(pieces().last().unwrap()["finish_reason"], "length");
}

#[tokio::test]
async fn completions_refuse_what_they_cannot_do() {
    let app = engine();
    for (changes, parameter) in [
        (json!({"suffix": "end"}), "suffix"),
        (json!({"best_of": 3}), "best_of"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"prompt": [9_000_000]}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"max_tokens": 1000}), "prompt"),
        (json!({"repetition_penalty": 0}), "repetition_penalty"),
        (json!({"use_beam_search": true}), "use_beam_search"),
        (json!({"prompt": vec!["x"; 1025]}), "prompt"),
    ] {
        let (status, refused) = post(&app, "/v1/completions", &completion(changes.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{changes}");
        assert_eq!(refused["error"]["param"], parameter, "{changes}: {refused}");
    }
    let (status, _) = post(&app, "/v1/completions", &completion(json!({"model": "nobody"}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = post(&app, "/v1/chat/completions", &chat(json!({"max_tokens": 0}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn stops_and_penalties_of_vllm_are_known() {
    let app = engine();
    let ask = |changes| {
        let app = app.clone();
        async move {
            let (status, answer) = post(&app, "/v1/completions", &completion(changes)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            answer["choices"][0].clone()
        }
    };
    let bias = ask(json!({"logit_bias": {"72": 100}})).await;
    assert_eq!(bias["text"], "AAAAAA");
    let stopped = ask(json!({"logit_bias": {"72": 100}, "stop_token_ids": [72]})).await;
    assert_eq!((&stopped["text"], &stopped["finish_reason"]), (&json!(""), &json!("stop")));
    let kept =
        ask(json!({"logit_bias": {"72": 100}, "stop": "AA", "include_stop_str_in_output": true}))
            .await;
    assert_eq!((&kept["text"], &kept["finish_reason"]), (&json!("AA"), &json!("stop")));
}

#[tokio::test]
async fn a_tokenizer_says_what_it_is() {
    let app = engine();
    let (status, info) = get(&app, "/tokenizer_info").await;
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(info["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!((&info["bos_token"], &info["eos_token"]), (&json!("<bos>"), &json!("<eos>")));
    assert!(info["chat_template"].as_str().unwrap().contains("add_generation_prompt"));
    let continued =
        json!({"messages": [{"role": "user", "content": "a"}], "continue_final_message": true});
    let (status, refused) = post(&app, "/tokenize", &continued).await;
    assert_eq!(
        (status, &refused["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("continue_final_message"))
    );
    let (status, _) = post(&app, "/tokenize", &json!({"prompt": "a", "model": "nobody"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
