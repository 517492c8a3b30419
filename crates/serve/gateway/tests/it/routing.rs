//! Which release answers, what it is asked, and what is recorded of it.

use crate::world::{ask, call, limits, one_release, release, serving, target, world};
use pelton_gateway::{Snapshot, Status};
use pelton_llm_types::Sampling;
use pelton_testkit::mock_upstream::{MockUpstream, Reply};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_call_is_answered_and_recorded_once() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("{\"bill_found\":\"false\"}")]).await?;
    let mut world = one_release(vec![target("engine", &upstream)], limits());
    let answer = world
        .whole(call(&json!({
            "model": "telco", "messages": [{"role": "user", "content": "Which bill?"}],
            "user": "u7", "metadata": {"customer": "c1", "n": 3}, "unknown_field": [1, {"a": null}],
        })))
        .await
        .unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "{\"bill_found\":\"false\"}");

    let seen = upstream.seen().remove(0);
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.headers["authorization"], "Bearer key-of-engine");
    assert_eq!(seen.body["model"], "engine-model");
    assert_eq!(seen.body["unknown_field"], json!([1, {"a": null}]));

    let record = world.record().await;
    assert_eq!(record.status, Status::Ok);
    assert_eq!(record.endpoint, "telco");
    assert_eq!(record.release.as_ref().map(|(_, name)| name.as_str()), Some("release-1"));
    assert_eq!((record.model.as_str(), record.provider.as_str()), ("engine-model", "engine"));
    assert_eq!(record.usage.map(|usage| (usage.prompt, usage.completion)), Some((7, 3)));
    // 7 tokens at $1 and 3 at $2 a million.
    assert_eq!(record.cost_nanousd, Some(13_000));
    assert_eq!(record.tags, [("customer".into(), "c1".into()), ("n".into(), "3".into())]);
    assert_eq!(record.unit.as_deref(), Some("u7"));
    assert_eq!(record.output, "{\"bill_found\":\"false\"}");
    assert_eq!(record.input_preview, "Which bill?");
    assert_eq!((record.config_hash.as_str(), record.generation), ("hash-1", 1));
    assert_eq!(
        record.route.reason,
        "endpoint `telco`: release `release-1` at weight 100 of 100, sticky by user"
    );
    assert_eq!(record.route.attempts.len(), 1);
    assert!(record.latency_us > 0 && record.ttft_us.is_none() && record.http_status == 200);
    world.no_more_records().await;
    assert!(
        world
            .metrics
            .render()
            .contains("pelton_gateway_calls_total{endpoint=\"telco\",status=\"ok\"} 1\n")
    );
    Ok(())
}

#[tokio::test]
async fn units_stick_and_shares_follow_weights() -> anyhow::Result<()> {
    let upstream =
        MockUpstream::start(|_, seen| Reply::answer(seen.body["model"].as_str().unwrap_or("")))
            .await?;
    let snapshot = serving(vec![
        (release(1, vec![target("old", &upstream)]), 50),
        (release(2, vec![target("new", &upstream)]), 50),
        (release(3, vec![target("off", &upstream)]), 0),
    ]);
    let world = world(snapshot, limits());
    let mut by_user = Vec::new();
    for round in 0..2 {
        for user in 0..24 {
            let answer = world
                .whole(call(&json!({"model": "telco", "user": format!("u{user}"),
                                    "messages": [{"role": "user", "content": "x"}]})))
                .await
                .unwrap();
            let model = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
            match round {
                0 => by_user.push(model),
                _ => assert_eq!(by_user[user], model, "user {user} was moved"),
            }
        }
    }
    assert!(by_user.contains(&"old-model".into()) && by_user.contains(&"new-model".into()));
    assert!(!by_user.contains(&"off-model".into()));

    // The header and the metadata name the same session, so they go the same way.
    let session = json!({"model": "telco", "metadata": {"session": "s1"},
                         "messages": [{"role": "user", "content": "x"}]});
    let by_metadata = world.whole(call(&session)).await.unwrap();
    let mut by_header = ask(false);
    by_header.session = Some("s1".into());
    assert_eq!(by_metadata, world.whole(by_header).await.unwrap());
    Ok(())
}

#[tokio::test]
async fn a_release_fills_what_the_caller_left_open() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("x")]).await?;
    let mut bundle = Arc::unwrap_or_clone(release(1, vec![target("engine", &upstream)]));
    bundle.sampling =
        Sampling { temperature: Some(0.0), max_tokens: Some(9), ..Default::default() };
    bundle.system_prompt = Some("Answer in JSON.".into());
    let world = world(serving(vec![(Arc::new(bundle), 1)]), limits());
    let asked = json!({"model": "telco", "temperature": 0.7,
                       "messages": [{"role": "user", "content": "x"}]});
    world.whole(call(&asked)).await.unwrap();
    let body = upstream.seen().remove(0).body;
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(0.7), &json!(9)));
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Answer in JSON."}));
    Ok(())
}

#[tokio::test]
async fn models_can_be_called_directly_and_unknown_ones_are_told_what_exists() -> anyhow::Result<()>
{
    let upstream = MockUpstream::replies(vec![Reply::answer("direct")]).await?;
    let mut snapshot = serving(vec![(release(1, vec![target("engine", &upstream)]), 1)]);
    snapshot.models.insert("pelton/pelton-tiny@1".into(), target("engine", &upstream));
    let mut world = world(snapshot, limits());
    let asking = |model: &str| {
        call(&json!({"model": model, "messages": [{"role": "user", "content": "x"}]}))
    };
    world.whole(asking("pelton/pelton-tiny@1")).await.unwrap();
    let record = world.record().await;
    assert_eq!((record.release, record.status), (None, Status::Ok));

    let refusal = world.whole(asking("gpt-4")).await.unwrap_err();
    assert_eq!((refusal.error.status().as_u16(), refusal.error.code()), (404, "model_not_found"));
    assert_eq!(
        refusal.error.to_string(),
        "`gpt-4` does not exist. These do: `telco`, `pelton/pelton-tiny@1`."
    );
    let record = world.record().await;
    assert_eq!((record.status, record.http_status), (Status::Error, 404));
    assert!(world.metrics.render().contains("{endpoint=\"unknown\",status=\"error\"} 1\n"));

    world.snapshot.store(Arc::new(Snapshot::default()));
    let refusal = world.whole(asking("telco")).await.unwrap_err();
    assert_eq!(refusal.error.code(), "model_not_found");
    Ok(())
}

#[tokio::test]
async fn a_call_keeps_its_picture_while_another_is_swapped_in() -> anyhow::Result<()> {
    let go = Arc::new(tokio::sync::Notify::new());
    let waiting = Arc::clone(&go);
    let old = MockUpstream::start(move |_, _| {
        let mut reply = Reply::answer("old");
        let wait = pelton_testkit::mock_upstream::Piece::Wait(Arc::clone(&waiting));
        reply.pieces.insert(0, wait);
        reply
    })
    .await?;
    let new = MockUpstream::replies(vec![Reply::answer("new")]).await?;
    let mut world = one_release(vec![target("old", &old)], limits());
    let gateway = Arc::clone(&world.gateway);
    let first = tokio::spawn(async move { gateway.serve(ask(false)).await.map(|_| ()) });
    while old.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut next = serving(vec![(release(2, vec![target("new", &new)]), 1)]);
    next.generation = 2;
    world.snapshot.store(Arc::new(next));
    let second = world.whole(ask(false)).await.unwrap();
    assert_eq!(second["choices"][0]["message"]["content"], "new");
    go.notify_one();
    first.await?.unwrap();
    let generations = [world.record().await.generation, world.record().await.generation];
    assert_eq!(generations, [2, 1]);
    Ok(())
}

#[tokio::test]
async fn an_answer_in_an_unknown_shape_is_passed_on() -> anyhow::Result<()> {
    let odd = json!({"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}],
                     "usage": {"prompt_tokens": 4, "completion_tokens": 1}});
    let upstream = MockUpstream::replies(vec![Reply::json(200, &odd)]).await?;
    let mut world = one_release(vec![target("a", &upstream)], limits());
    assert_eq!(world.whole(ask(false)).await.unwrap(), odd);
    let record = world.record().await;
    assert_eq!((record.status, record.output.as_str()), (Status::Ok, ""));
    assert_eq!(record.usage.map(|usage| usage.prompt), Some(4));
    Ok(())
}
