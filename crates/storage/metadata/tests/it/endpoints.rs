//! Endpoints and rollouts.

use crate::bench::{Bench, all_to, change, kind_of};
use crate::populate::{gate, rollout, update};
use pelton_ids::ReleaseId;
use pelton_metadata::{
    EndpointChange, NewDecision, NewRollout, Release, Rollout, RolloutState, TrafficShare,
};
use serde_json::json;

/// `first:90 second:10`
async fn traffic(bench: &Bench) -> String {
    let endpoint = bench.store.endpoint_get(&bench.ctx, "desk").await.unwrap();
    let mut shares = vec![];
    for TrafficShare { release_id, weight } in endpoint.traffic {
        let name = bench.store.release_get(&bench.ctx, release_id).await.unwrap().name;
        shares.push(format!("{name}:{weight}"));
    }
    shares.join(" ")
}

async fn desk(bench: &Bench) -> (Release, Release) {
    let (first, second) = (bench.release("first").await, bench.release("second").await);
    bench.store.endpoint_put(&bench.ctx, "desk", change(all_to(&first))).await.unwrap();
    (first, second)
}

pub async fn traffic_has_generations(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let (first, second) = desk(&bench).await;
    bench.clock.advance(5);
    let put = EndpointChange { expected: Some(1), ..change(all_to(&second)) };
    let next = store.endpoint_put(ctx, "desk", put).await.unwrap();
    assert_eq!((next.generation, next.updated_at.0 - next.created_at.0), (2, 5));
    let stale = EndpointChange { expected: Some(1), ..change(all_to(&first)) };
    let stale = store.endpoint_put(ctx, "desk", stale).await.unwrap_err();
    assert_eq!(
        stale.to_string(),
        "endpoint `desk` has changed meanwhile: expected generation 1, found 2"
    );
    let back = store.endpoint_rollback(ctx, "desk", "worse").await.unwrap();
    assert_eq!((back.generation, back.traffic), (3, all_to(&first)));
    let nowhere = store.endpoint_rollback(ctx, "desk", "again").await.unwrap_err();
    assert_eq!(
        nowhere.to_string(),
        "endpoint `desk`: nothing answered before: there is no way back"
    );
    let history = store.endpoint_history(ctx, "desk", 2).await.unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|it| (it.generation, it.by.as_str(), it.reason.as_str(), it.restores))
        .collect();
    assert_eq!(told, [(3, "key:ada", "worse", Some(1)), (2, "key:ada", "test", None)]);
    let names: Vec<String> =
        store.endpoint_list(ctx).await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["desk"]);
}

pub async fn traffic_must_make_sense(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let (first, second) = desk(&bench).await;
    let put = async |shares: &[(ReleaseId, u32)]| {
        let share = |&(release_id, weight): &_| TrafficShare { release_id, weight };
        let traffic = shares.iter().map(share).collect();
        store.endpoint_put(ctx, "desk", change(traffic)).await.map_err(|error| error.to_string())
    };
    let sum = "the weights sum to 99; they must sum to 100";
    assert_eq!(put(&[(first.id, 99)]).await.unwrap_err(), sum);
    assert_eq!(put(&[]).await.unwrap_err(), "the weights sum to 0; they must sum to 100");
    let overflow = put(&[(first.id, u32::MAX), (second.id, 101)]).await.unwrap_err();
    assert_eq!(overflow, "the weights sum to 4294967396; they must sum to 100");
    let twice = put(&[(first.id, 50), (first.id, 50)]).await.unwrap_err();
    assert_eq!(twice, "a release appears twice in the traffic");
    let absent = ReleaseId::from_u128(1);
    assert!(put(&[(absent, 100)]).await.unwrap_err().starts_with("no release `rel_"));
    put(&[(first.id, 40), (second.id, 60)]).await.unwrap();
    assert_eq!(traffic(&bench).await, "first:40 second:60");
    let unfit = store.endpoint_put(ctx, "../x", change(all_to(&first))).await;
    assert_eq!(kind_of(unfit), "Invalid");
}

pub async fn rollback_goes_back_before_a_rollout(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let (_, second) = desk(&bench).await;
    // A running rollout is ended, and its start undone.
    let begun = store.rollout_start(ctx, rollout("desk", second.id)).await.unwrap();
    assert_eq!(traffic(&bench).await, "first:90 second:10");
    store.endpoint_rollback(ctx, "desk", "complaints").await.unwrap();
    assert_eq!(traffic(&bench).await, "first:100");
    let ended = store.rollout_get(ctx, begun.id).await.unwrap();
    assert_eq!(
        (ended.state, ended.reason.as_deref()),
        (RolloutState::RolledBack, Some("complaints"))
    );
    let last = store.rollout_decisions(ctx, begun.id).await.unwrap().pop().unwrap();
    assert_eq!((last.seq, last.action.as_str()), (2, "roll_back"));
    // Its driver, which had read it before, comes too late.
    let late = update(RolloutState::Running, 1, 50, "advance");
    let late = store.rollout_update(ctx, begun.id, begun.revision, late).await;
    assert_eq!(kind_of(late), "Stale");
    // One that was promoted in three steps is undone in one.
    let mut running = store.rollout_start(ctx, rollout("desk", second.id)).await.unwrap();
    for (stage, weight) in [(1, 50), (2, 100)] {
        let next = update(RolloutState::Running, stage, weight, "advance");
        running = store.rollout_update(ctx, running.id, running.revision, next).await.unwrap();
    }
    let end = update(RolloutState::Promoted, 2, 100, "promote");
    store.rollout_update(ctx, running.id, running.revision, end).await.unwrap();
    assert_eq!(traffic(&bench).await, "second:100");
    store.endpoint_rollback(ctx, "desk", "worse").await.unwrap();
    assert_eq!(traffic(&bench).await, "first:100");
}

pub async fn a_rollout_runs_to_promotion(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let (first, second) = desk(&bench).await;
    let begun = store.rollout_start(ctx, rollout("desk", second.id)).await.unwrap();
    let Rollout { state, stage, weight, revision, baseline_name, candidate_name, .. } = &begun;
    assert_eq!((*state, *stage, *weight, *revision), (RolloutState::Running, 0, 10, 1));
    assert_eq!((baseline_name.as_str(), candidate_name.as_str()), ("first", "second"));
    assert_eq!(store.rollout_list_running(ctx).await.unwrap(), std::slice::from_ref(&begun));
    assert_eq!(store.rollout_list_running_all(system).await.unwrap(), std::slice::from_ref(&begun));
    // Only the rollout moves the endpoint's traffic now.
    assert_eq!(kind_of(store.rollout_start(ctx, rollout("desk", second.id)).await), "Conflict");
    assert_eq!(kind_of(store.endpoint_put(ctx, "desk", change(all_to(&first))).await), "Conflict");
    let seen = update(RolloutState::Running, 0, 10, "hold");
    let held = store.rollout_update(ctx, begun.id, 1, seen).await.unwrap();
    assert_eq!(store.endpoint_get(ctx, "desk").await.unwrap().generation, 2);
    assert_eq!((held.revision, held.machine), (2, json!({ "seen": 1 })));
    let end = update(RolloutState::Promoted, 2, 100, "promote");
    assert_eq!(kind_of(store.rollout_update(ctx, begun.id, 1, end.clone()).await), "Stale");
    bench.clock.advance(9);
    let ended = store.rollout_update(ctx, begun.id, 2, end.clone()).await.unwrap();
    assert_eq!(ended.ended_at.unwrap().0 - ended.started_at.0, 9);
    assert_eq!(traffic(&bench).await, "second:100");
    assert_eq!(kind_of(store.rollout_update(ctx, begun.id, 3, end).await), "Conflict");
    let log = store.rollout_decisions(ctx, begun.id).await.unwrap();
    let told: Vec<_> = log.iter().map(|it| (it.seq, it.action.as_str())).collect();
    assert_eq!(told, [(1, "start"), (2, "hold"), (3, "promote")]);
    assert_eq!(log[1].observed, json!({ "requests": 50 }));
    assert_eq!(kind_of(store.rollout_start(ctx, rollout("desk", second.id)).await), "Conflict");
    for stages in [vec![], vec![10], vec![50, 10, 100], vec![0, 100], vec![10, 10, 100]] {
        let unfit = NewRollout { stages, ..rollout("desk", first.id) };
        assert_eq!(kind_of(store.rollout_start(ctx, unfit).await), "Invalid");
    }
    // A rollout that turns back gives the baseline all traffic.
    let again = store.rollout_start(ctx, rollout("desk", first.id)).await.unwrap();
    let decision = Some(NewDecision {
        action: "roll_back".into(),
        reason: "errors".into(),
        stage: 0,
        observed: json!(null),
    });
    let turned =
        pelton_metadata::RolloutUpdate { decision, ..update(RolloutState::RolledBack, 0, 0, "") };
    store.rollout_update(ctx, again.id, again.revision, turned).await.unwrap();
    assert_eq!(traffic(&bench).await, "second:100");
    assert!(store.rollout_list_running(ctx).await.unwrap().is_empty());
}

pub async fn a_gate_that_was_not_passed_refuses(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let (_, second) = desk(&bench).await;
    let failed = store.gate_create(ctx, gate(false)).await.unwrap();
    let gated = NewRollout { gate: Some(failed.id), ..rollout("desk", second.id) };
    let refused = store.rollout_start(ctx, gated.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("it was not passed"), "{refused}");
    assert_eq!(traffic(&bench).await, "first:100");
    let why = Some("the regression set is out of date".to_owned());
    let overridden = NewRollout { override_gate: why.clone(), ..gated };
    let begun = store.rollout_start(ctx, overridden).await.unwrap();
    assert_eq!((begun.gate, begun.override_gate), (Some(failed.id), why));
}
