//! Requests that are no conversations take the same path: routed, recorded, counted.

use crate::world::{World, call, limits, one_release, target};
use pelton_gateway::{Call, Status};
use pelton_llm_types::RequestKind;
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::{Value, json};

fn of(kind: RequestKind, body: &Value) -> Call {
    Call { kind, ..call(body) }
}

async fn in_front_of(replies: Vec<Reply>) -> (MockUpstream, World) {
    let upstream = MockUpstream::replies(replies).await.unwrap();
    let world = one_release(vec![target("a", &upstream)], limits());
    (upstream, world)
}

#[tokio::test]
async fn a_completion_is_passed_on_and_recorded() {
    let answer = json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "mock",
        "choices": [{"index": 0, "text": " a time", "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    });
    let (upstream, mut world) = in_front_of(vec![Reply::json(200, &answer)]).await;
    let body = json!({"model": "telco", "prompt": ["Once upon"], "user": "u1", "echo": false});
    assert_eq!(world.whole(of(RequestKind::Completion, &body)).await.unwrap(), answer);
    assert_eq!(upstream.seen()[0].path, "/v1/completions");
    assert_eq!(upstream.seen()[0].body["prompt"], body["prompt"]);
    let record = world.record().await;
    assert_eq!((record.status, record.output.as_str()), (Status::Ok, " a time"));
    assert_eq!((record.input_preview.as_str(), record.unit.as_deref()), ("Once upon", Some("u1")));
    assert_eq!(record.usage.map(|usage| (usage.prompt, usage.completion)), Some((2, 2)));
    assert_eq!(record.cost_nanousd, Some(6_000));
    world.no_more_records().await;
}

#[tokio::test]
async fn a_streamed_completion_is_recorded_as_the_whole_one() {
    let part = |text: &str, reason: Value| {
        Piece::data(&json!({"id": "cmpl-1", "object": "text_completion", "created": 1,
            "model": "mock", "choices": [{"index": 0, "text": text, "finish_reason": reason}]}))
    };
    let pieces = vec![
        part(" a", Value::Null),
        part(" time", json!("length")),
        Piece::usage(),
        Piece::done(),
    ];
    let (upstream, mut world) = in_front_of(vec![Reply::stream(pieces)]).await;
    let body = json!({"model": "telco", "prompt": "Once upon", "stream": true});
    let text = world.streamed(of(RequestKind::Completion, &body)).await.unwrap();
    assert!(text.contains("\" time\"") && !text.contains("usage"), "{text}");
    assert_eq!(upstream.seen()[0].body["stream_options"], json!({"include_usage": true}));
    let record = world.record().await;
    assert_eq!((record.status, record.output.as_str()), (Status::Ok, " a time"));
    assert_eq!(record.usage.map(|usage| usage.prompt), Some(7));
    assert!(record.ttft_us.is_some());
    let response: Value = serde_json::from_slice(&record.response.unwrap()).unwrap();
    assert_eq!(
        response["choices"],
        json!([{"index": 0, "text": " a time", "finish_reason": "length"}])
    );
    assert_eq!(response["object"], "text_completion");
}

#[tokio::test]
async fn embeddings_are_counted_and_their_vectors_not_recorded() {
    let answer = json!({"object": "list", "model": "mock",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    let (upstream, mut world) = in_front_of(vec![Reply::json(200, &answer)]).await;
    // Nothing is streamed here, whatever is asked.
    let body = json!({"model": "telco", "input": "Which bill?", "stream": true});
    assert_eq!(world.whole(of(RequestKind::Embedding, &body)).await.unwrap(), answer);
    assert_eq!(upstream.seen()[0].path, "/v1/embeddings");
    let record = world.record().await;
    assert_eq!((record.status, record.response), (Status::Ok, None));
    assert_eq!(record.usage.map(|usage| (usage.prompt, usage.completion)), Some((3, 0)));
    assert_eq!(record.input_preview, "Which bill?");
}

#[tokio::test]
async fn a_ranking_keeps_its_answer_even_with_another_usage() {
    let answer = json!({"id": "rerank-1", "results": [{"index": 1, "relevance_score": 0.9}],
                        "usage": {"total_tokens": 12}});
    let (upstream, mut world) = in_front_of(vec![Reply::json(200, &answer)]).await;
    let body = json!({"model": "telco", "query": "bill", "documents": ["a", "b"], "top_n": 1});
    assert_eq!(world.whole(of(RequestKind::Rerank, &body)).await.unwrap(), answer);
    assert_eq!(upstream.seen()[0].path, "/v1/rerank");
    let record = world.record().await;
    assert_eq!((record.status, record.usage), (Status::Ok, None));
    assert!(record.response.is_some());
}

#[tokio::test]
async fn an_answer_of_another_kind_is_refused() {
    for (kind, body, said) in [
        (RequestKind::Embedding, json!({"model": "telco", "input": "x"}), "no list of embeddings"),
        (RequestKind::Rerank, json!({"model": "telco", "query": "x"}), "no ranking"),
    ] {
        let (_upstream, mut world) = in_front_of(vec![Reply::answer("text")]).await;
        let refusal = world.whole(of(kind, &body)).await.unwrap_err();
        assert!(refusal.error.to_string().contains(said), "{}", refusal.error);
        assert_eq!(world.record().await.status, Status::Error);
    }
    let (upstream, world) = in_front_of(vec![Reply::answer("text")]).await;
    let body = json!({"model": "telco", "messages": [{"role": "user", "content": "x"}]});
    let refusal = world.whole(of(RequestKind::Completion, &body)).await.unwrap_err();
    assert!(refusal.error.to_string().contains("`prompt`"), "{}", refusal.error);
    assert!(upstream.seen().is_empty());
}
