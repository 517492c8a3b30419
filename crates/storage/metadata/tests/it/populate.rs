//! One of everything, in the first project.

use crate::bench::{Bench, all_to, base_model, change};
use pelton_context::Scope;
use pelton_ids::{ApiKeyId, Digest, EvaluationId, GateId, JobId, ReleaseId, RolloutId};
use pelton_metadata::{
    ArtifactOwner, GateRule, NewDatasetVersion, NewDecision, NewEvaluation, NewGate, NewJob,
    NewRollout, RolloutPolicy, RolloutState, RolloutUpdate, RowCounts,
};
use serde_json::json;

/// What was made.
pub struct Made {
    pub key: ApiKeyId,
    pub gate: GateId,
    pub release: ReleaseId,
    pub rollout: RolloutId,
    pub evaluation: EvaluationId,
    pub job: JobId,
}

/// The audit entries that `populate` leaves, after the one of the project.
pub const ACTIONS: [&str; 19] = [
    "key.create",
    "model.create",
    "gate.create",
    "release.create",
    "release.create",
    "endpoint.put",
    "rollout.start",
    "rollout.update",
    "endpoint.rollback",
    "dataset_version.create",
    "evaluation.create",
    "setting.put",
    "setting.remove",
    "artifact.refer",
    "artifact.release",
    "job.create",
    "job.create",
    "job.cancel",
    "key.revoke",
];

pub fn gate(passed: bool) -> NewGate {
    let rule = GateRule { name: "better".into(), passed, detail: "0.9 against 0.5".into() };
    NewGate { passed, rules: vec![rule], task: json!({ "n": 500 }), regression: None }
}

pub fn dataset_version() -> NewDatasetVersion {
    NewDatasetVersion {
        rows: RowCounts { train: 8, validation: 1, test: 1 },
        dropped: json!({ "invalid": 2 }),
        scrubbed: json!({ "email": 1 }),
        statistics: json!({}),
        source: json!({ "kind": "blob" }),
        digest: Digest::of(b"dataset"),
        blobs: vec![Digest::of(b"rows")],
        card: "# Rows".into(),
        job_id: None,
    }
}

pub fn evaluation() -> NewEvaluation {
    NewEvaluation {
        name: "base".into(),
        target: json!({ "model": "m@1" }),
        suite: json!({ "dataset": "d@1" }),
        summary: json!({ "exact_match": { "value": 0.5 } }),
        samples: Digest::of(b"samples"),
        job_id: None,
    }
}

pub fn decision(action: &str) -> NewDecision {
    let (reason, observed) = (format!("because of {action}"), json!({ "requests": 50 }));
    NewDecision { action: action.into(), reason, stage: 0, observed }
}

pub fn rollout(endpoint: &str, candidate: ReleaseId) -> NewRollout {
    NewRollout {
        endpoint: endpoint.into(),
        candidate,
        stages: vec![10, 50, 100],
        policy: RolloutPolicy {
            min_requests_per_stage: 50,
            max_error_rate_increase: 0.02,
            max_feedback_drop: 0.1,
            min_feedback: 20,
        },
        machine: json!({ "seen": 0 }),
        gate: None,
        override_gate: None,
        decision: decision("start"),
    }
}

pub fn update(state: RolloutState, stage: u32, weight: u32, action: &str) -> RolloutUpdate {
    let decision = Some(decision(action));
    RolloutUpdate { state, stage, weight, machine: json!({ "seen": 1 }), decision }
}

pub async fn populate(bench: &Bench) -> Made {
    let Bench { store, ctx, .. } = bench;
    let key = store.api_key_create(ctx, "ci", &[Scope::Read], [7; 32]).await.unwrap().key.id;
    store.model_create(ctx, base_model("m")).await.unwrap();
    let gate = store.gate_create(ctx, gate(true)).await.unwrap().id;
    let first = bench.release("first").await;
    let second = bench.release("second").await;
    store.endpoint_put(ctx, "desk", change(all_to(&first))).await.unwrap();
    let begun = store.rollout_start(ctx, rollout("desk", second.id)).await.unwrap();
    let next = update(RolloutState::Running, 1, 50, "advance");
    store.rollout_update(ctx, begun.id, begun.revision, next).await.unwrap();
    store.endpoint_rollback(ctx, "desk", "too slow").await.unwrap();
    store.dataset_version_create(ctx, "d", dataset_version()).await.unwrap();
    let evaluation = store.evaluation_create(ctx, evaluation()).await.unwrap().id;
    store.setting_put(ctx, "theme", &json!("dark")).await.unwrap();
    store.setting_remove(ctx, "theme").await.unwrap();
    let owner = ArtifactOwner { kind: "upload".into(), id: "u".into() };
    store.artifact_ref_add(ctx, &owner, &[Digest::of(b"u")]).await.unwrap();
    store.artifact_ref_remove(ctx, &owner).await.unwrap();
    let job = store.job_create(ctx, NewJob::of("finetune", "t", json!({}))).await.unwrap().id;
    let stopped = store.job_create(ctx, NewJob::of("finetune", "t", json!({}))).await.unwrap().id;
    store.job_cancel(ctx, stopped).await.unwrap();
    store.api_key_revoke(ctx, key).await.unwrap();
    Made { key, gate, release: first.id, rollout: begun.id, evaluation, job }
}
