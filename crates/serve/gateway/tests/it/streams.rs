//! Streams pass through byte for byte.

use crate::world::{ask, call, limits, one_release, target};
use futures_util::StreamExt as _;
use pelton_gateway::Status;
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

/// Odd but legal events: comments, carriage returns, unknown fields, data that is no JSON.
const ODD: &str = ": ping\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"x\":1}\n\n\
    event: note\nid: 7\ndata: not json\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e4}\",\"z\":[1]}}]}\r\r\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n\
    data: [DONE]\n\n";

fn with_usage() -> pelton_gateway::Call {
    call(&json!({"model": "telco", "stream": true, "stream_options": {"include_usage": true},
                 "messages": [{"role": "user", "content": "x"}]}))
}

#[tokio::test]
async fn bytes_are_the_upstreams_however_they_are_cut() -> anyhow::Result<()> {
    for size in [1, 7, 64, ODD.len()] {
        let pieces = ODD.as_bytes().chunks(size).map(|piece| Piece::Bytes(piece.to_vec().into()));
        let upstream = MockUpstream::replies(vec![Reply::stream(pieces.collect())]).await?;
        let mut world = one_release(vec![target("a", &upstream)], limits());
        assert_eq!(world.streamed(with_usage()).await.unwrap(), ODD, "pieces of {size}");
        let record = world.record().await;
        assert_eq!((record.status, record.output.as_str()), (Status::Ok, "h\u{e4}"));
        assert_eq!(record.usage.map(|usage| (usage.prompt, usage.completion)), Some((5, 2)));
        assert_eq!(record.cost_nanousd, Some(9_000));
        assert!(record.ttft_us.is_some_and(|ttft| ttft <= record.latency_us));
        world.no_more_records().await;
    }
    Ok(())
}

#[tokio::test]
async fn usage_that_the_caller_did_not_ask_for_is_counted_and_not_shown() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::streamed(&["Hel", "lo"])]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    let text = world.streamed(ask(true)).await.unwrap();
    assert!(!text.contains("usage") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(upstream.seen()[0].body["stream_options"], json!({"include_usage": true}));
    let streamed = world.record().await;

    // The same answer unary costs the same and is recorded in the same shape.
    let upstream = MockUpstream::replies(vec![Reply::answer("Hello")]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    world.whole(ask(false)).await.unwrap();
    let unary = world.record().await;
    assert_eq!((streamed.cost_nanousd, streamed.usage), (unary.cost_nanousd, unary.usage));
    assert_eq!(streamed.output, unary.output);
    let json = |bytes: &bytes::Bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&streamed.response.unwrap()), json(&unary.response.unwrap()));
    Ok(())
}

#[tokio::test]
async fn an_end_without_its_marker_is_whole_if_the_answer_is() -> anyhow::Result<()> {
    let pieces = vec![Piece::role(), Piece::text("x"), Piece::stop()];
    let mut upstream_cut = pieces.clone();
    upstream_cut.push(Piece::Cut);
    let mut unterminated = pieces.clone();
    unterminated.push(Piece::Bytes("data: [DONE]\n".into()));
    for pieces in [pieces, upstream_cut, unterminated] {
        let upstream = MockUpstream::replies(vec![Reply::stream(pieces)]).await?;
        let mut world = one_release(vec![target("a", &upstream)], limits());
        let text = world.streamed(ask(true)).await.unwrap();
        assert!(!text.contains("\"error\""), "{text}");
        assert_eq!(world.record().await.status, Status::Ok);
    }
    Ok(())
}

#[tokio::test]
async fn tool_calls_stream_through_and_are_put_together() -> anyhow::Result<()> {
    let call_piece = |function: serde_json::Value, id: Option<&str>| {
        let mut call = json!({"index": 0, "function": function});
        if let Some(id) = id {
            call["id"] = json!(id);
            call["type"] = json!("function");
        }
        Piece::chunk(&json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}))
    };
    let reply = Reply::stream(vec![
        Piece::role(),
        call_piece(json!({"name": "find", "arguments": ""}), Some("call_1")),
        call_piece(json!({"arguments": "{\"id\":"}), None),
        call_piece(json!({"arguments": "7}"}), None),
        Piece::chunk(&json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})),
        Piece::done(),
    ]);
    let upstream = MockUpstream::replies(vec![reply]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    world.streamed(ask(true)).await.unwrap();
    let record = world.record().await;
    let response: serde_json::Value = serde_json::from_slice(&record.response.unwrap())?;
    assert_eq!(
        response["choices"][0]["message"]["tool_calls"],
        json!([{"id": "call_1", "type": "function",
                "function": {"name": "find", "arguments": "{\"id\":7}"}}])
    );
    Ok(())
}

#[tokio::test]
async fn pieces_reach_the_caller_before_the_answer_is_whole() -> anyhow::Result<()> {
    let go = Arc::new(Notify::new());
    let reply = Reply::stream(vec![
        Piece::role(),
        Piece::text("first"),
        Piece::Wait(Arc::clone(&go)),
        Piece::text("second"),
        Piece::stop(),
        Piece::done(),
    ]);
    let upstream = MockUpstream::replies(vec![reply]).await?;
    let world = one_release(vec![target("a", &upstream)], limits());
    let mut stream = world.stream(ask(true)).await.unwrap();
    let first = stream.next().await.unwrap();
    assert!(String::from_utf8_lossy(&first).contains("first"));
    go.notify_one();
    let rest: Vec<bytes::Bytes> = stream.collect().await;
    assert!(String::from_utf8_lossy(&rest.concat()).contains("second"));
    Ok(())
}
