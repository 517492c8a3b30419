//! However a call ends, it leaves exactly one record.

use crate::world::{ask, call, limits, one_release, release, serving, target};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use pelton_context::{Scope, SystemClock};
use pelton_egress::{Egress, EgressSettings};
use pelton_gateway::{
    BodyError, Call, CallRecord, Gateway, Limits, Recorder, Slot, Status, channel,
};
use pelton_telemetry::Metrics;
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_caller_that_leaves_a_stream_cancels_the_upstream() -> anyhow::Result<()> {
    let reply = Reply::stream(vec![Piece::role(), Piece::text("He"), Piece::Hang]);
    let mut upstream = MockUpstream::replies(vec![reply]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    let mut stream = world.stream(ask(true)).await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    let record = world.record().await;
    assert_eq!((record.status, record.output.as_str()), (Status::Cancelled, "He"));
    assert_eq!(record.error_code.as_deref(), Some("cancelled"));
    assert_eq!(upstream.abandoned().await, Some(0));
    world.no_more_records().await;
    Ok(())
}

#[tokio::test]
async fn a_caller_that_leaves_before_any_answer_cancels_the_upstream() -> anyhow::Result<()> {
    for stream in [false, true] {
        let mut upstream = MockUpstream::replies(vec![Reply::silence()]).await?;
        let mut world = one_release(vec![target("a", &upstream)], limits());
        let gateway = Arc::clone(&world.gateway);
        let calling = tokio::spawn(async move { gateway.serve(ask(stream)).await.map(|_| ()) });
        while upstream.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        calling.abort();
        let record = world.record().await;
        assert_eq!((record.status, record.http_status), (Status::Cancelled, 499));
        assert_eq!(record.provider, "a");
        assert_eq!(upstream.abandoned().await, Some(0));
        world.no_more_records().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_caller_that_stops_reading_is_given_up() -> anyhow::Result<()> {
    let mut pieces = vec![Piece::role()];
    pieces.extend((0..400).map(|_| Piece::text(&"x".repeat(1_000))));
    pieces.push(Piece::Hang);
    let mut upstream = MockUpstream::replies(vec![Reply::stream(pieces)]).await?;
    let stalled = Limits { stalled: Duration::from_millis(60), ..limits() };
    let mut world = one_release(vec![target("a", &upstream)], stalled);
    let unread = world.stream(ask(true)).await.unwrap();
    let record = world.record().await;
    assert_eq!(record.status, Status::Cancelled);
    assert_eq!(record.error_message.as_deref(), Some("The caller stopped reading."));
    assert_eq!(upstream.abandoned().await, Some(0));
    drop(unread);
    world.no_more_records().await;
    Ok(())
}

#[tokio::test]
async fn a_call_that_cannot_be_read_or_allowed_is_recorded_with_what_it_sent() -> anyhow::Result<()>
{
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    let of = |body: &'static [u8]| Call { body: Ok(Bytes::from_static(body)), ..ask(false) };
    let without = |body| Call { body: Err(body), ..ask(false) };
    let mut reader = ask(false);
    reader.context.principal.scopes = vec![Scope::Read];
    let sent = reader.body.clone()?;
    let no_messages = Bytes::from_static(b"{\"model\":\"telco\"}");
    for (call, status, code, request) in [
        (of(b"{\"model\": \"tel"), 400, "invalid_request", &b"{\"model\": \"tel"[..]),
        (of(b"\xff\x00"), 400, "invalid_request", b"\xff\x00"),
        (of(b""), 400, "invalid_request", b""),
        (call(&json!({"model": "telco"})), 400, "invalid_request", &no_messages),
        (without(BodyError::TooLong { limit: 9 }), 413, "body_too_large", b""),
        (without(BodyError::BrokenOff("reset".into())), 400, "body_unreadable", b""),
        (reader, 403, "forbidden", &sent),
    ] {
        let refusal = world.gateway.serve(call).await.unwrap_err();
        assert_eq!((refusal.error.status().as_u16(), refusal.error.code()), (status, code));
        let record = world.record().await;
        assert_eq!(refusal.inference, Some(record.inference_id));
        assert_eq!((record.status, record.http_status), (Status::Error, status));
        assert_eq!(record.error_code.as_deref(), Some(code));
        assert_eq!(record.error_message, Some(refusal.error.to_string()));
        assert_eq!((&record.request[..], record.response), (request, None));
        assert_eq!((record.endpoint.as_str(), record.release), ("", None));
    }
    assert_eq!(upstream.seen().len(), 0);
    world.no_more_records().await;
    Ok(())
}

/// A store without room.
struct Behind;

impl Recorder for Behind {
    fn reserve(&self) -> Option<Box<dyn Slot>> {
        None
    }
}

#[tokio::test]
async fn without_room_for_its_record_a_call_is_not_made() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let snapshot = serving(vec![(release(1, vec![target("a", &upstream)]), 1)]);
    let metrics = Metrics::new();
    let gateway = Gateway::new(
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Arc::new(Behind),
        Arc::new(Egress::new(EgressSettings::default())),
        limits(),
        Arc::new(SystemClock),
        &metrics,
    );
    let refusal = gateway.serve(ask(false)).await.unwrap_err();
    assert_eq!((refusal.error.status().as_u16(), refusal.error.code()), (503, "records_behind"));
    assert_eq!(upstream.seen().len(), 0);
    assert!(metrics.render().contains("gateway_unrecorded_total{reason=\"records_behind\"} 1\n"));
    Ok(())
}

#[tokio::test]
async fn reserved_room_is_given_back_or_filled() {
    let (recorder, mut records) = channel(1);
    let slot = recorder.reserve();
    assert!(slot.is_some() && recorder.reserve().is_none());
    drop(slot);
    assert!(recorder.reserve().is_some());
    let none: Option<CallRecord> = records.try_recv().ok();
    assert!(none.is_none());
}

#[tokio::test]
async fn many_calls_at_once_leave_as_many_records() -> anyhow::Result<()> {
    let upstream = MockUpstream::start(|n, seen| match (n % 4, seen.body["stream"].as_bool()) {
        (0, _) => Reply::error(400, "no"),
        (1, Some(true)) => Reply::stream(vec![Piece::text("He"), Piece::Cut]),
        (_, Some(true)) => Reply::streamed(&["a", "b"]),
        _ => Reply::answer("x"),
    })
    .await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    let calls = (0..60).map(|n| {
        let world = &world;
        async move {
            match n % 3 {
                0 => drop(world.streamed(ask(true)).await),
                1 => drop(world.stream(ask(true)).await),
                _ => drop(world.whole(ask(false)).await),
            }
        }
    });
    futures_util::future::join_all(calls).await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..60 {
        assert!(ids.insert(world.record().await.inference_id));
    }
    world.no_more_records().await;
    assert!(world.metrics.render().contains("pelton_gateway_in_flight{} 0\n"));
    Ok(())
}
