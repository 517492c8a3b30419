//! Retries and fallbacks before the first content, none after; timeouts; room.

use crate::world::{ask, limits, one_release, target};
use pelton_egress::Reach;
use pelton_gateway::{Limits, Status};
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_failing_upstream_is_asked_again_and_then_another() -> anyhow::Result<()> {
    let flaky = MockUpstream::replies(vec![Reply::error(500, "busy"), Reply::answer("a")]).await?;
    let mut world = one_release(vec![target("flaky", &flaky)], limits());
    assert_eq!(world.whole(ask(false)).await.unwrap()["choices"][0]["message"]["content"], "a");
    let attempts = world.record().await.route.attempts;
    assert_eq!(attempts.len(), 2);
    assert_eq!((attempts[0].status, attempts[0].error.as_deref()), (Some(500), Some("busy")));
    assert_eq!((attempts[1].status, attempts[1].error.as_deref()), (Some(200), None));

    let down = MockUpstream::replies(vec![Reply::error(401, "bad key")]).await?;
    let up = MockUpstream::replies(vec![Reply::answer("b")]).await?;
    let mut world = one_release(vec![target("down", &down), target("up", &up)], limits());
    assert_eq!(world.whole(ask(false)).await.unwrap()["choices"][0]["message"]["content"], "b");
    let record = world.record().await;
    assert_eq!((record.provider.as_str(), record.model.as_str()), ("up", "up-model"));
    assert_eq!((down.seen().len(), up.seen().len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_stream_falls_back_before_its_first_content_and_never_after() -> anyhow::Result<()> {
    let error = Piece::data(&json!({"error": {"message": "overloaded"}}));
    for preamble in [
        vec![Piece::Cut],
        vec![Piece::role(), Piece::Cut],
        vec![Piece::role()],
        vec![Piece::role(), error.clone()],
        vec![],
    ] {
        let bad = MockUpstream::replies(vec![Reply::stream(preamble)]).await?;
        let good = MockUpstream::replies(vec![Reply::streamed(&["He", "llo"])]).await?;
        let mut world = one_release(vec![target("bad", &bad), target("good", &good)], limits());
        let text = world.streamed(ask(true)).await.unwrap();
        assert_eq!(text.matches("\"role\":\"assistant\"").count(), 1, "{text}");
        let record = world.record().await;
        assert_eq!((record.output.as_str(), record.status), ("Hello", Status::Ok));
        assert_eq!(record.route.attempts.len(), 2);
    }

    for broken in [
        vec![Piece::role(), Piece::text("He"), Piece::Cut],
        vec![Piece::role(), Piece::text("He")],
        vec![Piece::role(), Piece::text("He"), error],
    ] {
        let cut = MockUpstream::replies(vec![Reply::stream(broken)]).await?;
        let spare = MockUpstream::replies(vec![Reply::streamed(&["x"])]).await?;
        let mut world = one_release(vec![target("cut", &cut), target("spare", &spare)], limits());
        let text = world.streamed(ask(true)).await.unwrap();
        assert!(text.contains("\"He\"") && text.contains("\"error\""), "{text}");
        assert!(!text.contains("[DONE]"), "a broken stream must not look whole: {text}");
        let record = world.record().await;
        assert_eq!((record.status, record.output.as_str()), (Status::Partial, "He"));
        assert!(record.error_code.is_some() && record.usage.is_none());
        assert_eq!((cut.seen().len(), spare.seen().len()), (1, 0));
        world.no_more_records().await;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_caller_got_wrong_is_passed_on_at_once() -> anyhow::Result<()> {
    let upstream =
        MockUpstream::replies(vec![Reply::error(400, "temperature is too high")]).await?;
    let spare = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let mut world = one_release(vec![target("a", &upstream), target("b", &spare)], limits());
    let refusal = world.whole(ask(false)).await.unwrap_err();
    assert_eq!(refusal.error.status().as_u16(), 400);
    assert_eq!(refusal.error.to_string(), "temperature is too high");
    assert!(refusal.inference.is_some() && refusal.release.is_some());
    assert_eq!((upstream.seen().len(), spare.seen().len()), (1, 0));
    let record = world.record().await;
    assert_eq!((record.status, record.http_status), (Status::Error, 400));
    Ok(())
}

#[tokio::test]
async fn rate_limits_are_waited_for_or_told() -> anyhow::Result<()> {
    let soon = Reply::error(429, "slow down").with_header("retry-after-ms", "1");
    let upstream = MockUpstream::replies(vec![soon, Reply::answer("x")]).await?;
    let world = one_release(vec![target("a", &upstream)], limits());
    assert!(world.whole(ask(false)).await.is_ok());

    let late = Reply::error(429, "slow down").with_header("retry-after", "77");
    let upstream = MockUpstream::replies(vec![late]).await?;
    let world = one_release(vec![target("a", &upstream)], limits());
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert_eq!(
        (error.status().as_u16(), error.retry_after()),
        (429, Some(Duration::from_secs(77)))
    );
    assert_eq!(upstream.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn silence_ends_in_time() -> anyhow::Result<()> {
    let short = Duration::from_millis(60);
    let silent = MockUpstream::replies(vec![Reply::silence()]).await?;
    let spare = MockUpstream::replies(vec![Reply::streamed(&["x"])]).await?;

    let first_token = Limits { first_token: short, ..limits() };
    let mut world =
        one_release(vec![target("silent", &silent), target("spare", &spare)], first_token.clone());
    world.streamed(ask(true)).await.unwrap();
    assert_eq!(world.record().await.route.attempts.len(), 2);
    let world = one_release(vec![target("silent", &silent)], first_token);
    let error = world.streamed(ask(true)).await.unwrap_err().error;
    assert_eq!(error.to_string(), "silent gave no first token within 0.06 s.");

    let total = Limits { total: short, ..limits() };
    let mut world = one_release(vec![target("silent", &silent), target("spare", &spare)], total);
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert_eq!((error.status().as_u16(), error.code()), (504, "upstream_timeout"));
    assert_eq!(world.record().await.status, Status::Error);

    let idle = Limits { idle: short, ..limits() };
    let stalls = Reply::stream(vec![Piece::role(), Piece::text("He"), Piece::Hang]);
    let mut stalled = MockUpstream::replies(vec![stalls]).await?;
    let mut world = one_release(vec![target("stalled", &stalled)], idle);
    let text = world.streamed(ask(true)).await.unwrap();
    assert!(text.contains("the upstream was silent for 0.06 s"), "{text}");
    let record = world.record().await;
    assert_eq!(
        (record.status, record.error_code.as_deref()),
        (Status::Partial, Some("upstream_timeout"))
    );
    assert_eq!(stalled.abandoned().await, Some(0));
    Ok(())
}

#[tokio::test]
async fn upstreams_that_cannot_be_reached_are_named() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let mut not_up = target("engine", &upstream);
    not_up.base_url = None;
    let world = one_release(vec![not_up], limits());
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert_eq!((error.status().as_u16(), error.code()), (503, "upstream_unavailable"));
    assert!(error.retry_after().is_some());

    let mut outside = target("provider", &upstream);
    outside.reach = Reach::Public;
    let world = one_release(vec![outside], limits());
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert_eq!(error.status().as_u16(), 502);
    assert!(error.to_string().contains("a loopback address"), "{error}");
    assert_eq!(upstream.seen().len(), 0);

    let html = Reply { status: 200, headers: vec![], pieces: vec![Piece::Bytes("<html>".into())] };
    let upstream = MockUpstream::replies(vec![html]).await?;
    let world = one_release(vec![target("proxy", &upstream)], limits());
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert!(error.to_string().contains("no chat completion"), "{error}");
    Ok(())
}

#[tokio::test]
async fn beyond_the_bound_callers_are_sent_away_at_once() -> anyhow::Result<()> {
    let hangs = Reply::stream(vec![Piece::text("x"), Piece::Hang]);
    let upstream = MockUpstream::replies(vec![hangs]).await?;
    let mut world =
        one_release(vec![target("a", &upstream)], Limits { max_in_flight: 1, ..limits() });
    let held = world.stream(ask(true)).await.unwrap();
    let error = world.whole(ask(false)).await.unwrap_err().error;
    assert_eq!((error.status().as_u16(), error.code()), (503, "overloaded"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(world.record().await.error_code.as_deref(), Some("overloaded"));
    drop(held);
    assert_eq!(world.record().await.status, Status::Cancelled);
    world.no_more_records().await;
    assert!(world.metrics.render().contains("pelton_gateway_in_flight{} 0\n"));
    Ok(())
}
