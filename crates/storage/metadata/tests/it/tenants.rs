//! Tenants do not see each other, and rights are checked before anything is asked.

use crate::bench::{Bench, START, all_to, base_model, change, kind_of};
use crate::populate::{Made, dataset_version, evaluation, gate, populate, rollout, update};
use pelton_context::{OpContext, Principal, Scope};
use pelton_ids::{DatasetVersionId, Digest};
use pelton_metadata::{
    ArtifactOwner, AuditFilter, Backoff, Claims, JobFilter, Lease, NewJob, NewRelease, Page,
    RolloutState,
};
use serde_json::json;

/// The kinds of the answers that `ctx` gets from everything there is, for the things of the first
/// project: reads, changes and what belongs to Pelton itself.
async fn ask_everything(bench: &Bench, ctx: &OpContext, made: &Made) -> [Vec<String>; 4] {
    let store = &bench.store;
    let page = &Page::default();
    let Made { key, gate: gate_id, release, rollout: rollout_id, evaluation: evaluation_id, job } =
        *made;
    let traffic = vec![pelton_metadata::TrafficShare { release_id: release, weight: 100 }];
    let by_name = vec![
        kind_of(store.gate_get(ctx, gate_id).await),
        kind_of(store.release_get(ctx, release).await),
        kind_of(store.release_get_by_name(ctx, "first").await),
        kind_of(store.endpoint_get(ctx, "desk").await),
        kind_of(store.endpoint_history(ctx, "desk", 9).await),
        kind_of(store.rollout_get(ctx, rollout_id).await),
        kind_of(store.rollout_decisions(ctx, rollout_id).await),
        kind_of(store.dataset_get(ctx, "d").await),
        kind_of(store.dataset_version_get(ctx, "d@1").await),
        kind_of(store.dataset_version_get_by_id(ctx, DatasetVersionId::from_u128(1)).await),
        kind_of(store.model_get(ctx, "m@1").await),
        kind_of(store.evaluation_get(ctx, evaluation_id).await),
        kind_of(store.job_get(ctx, job).await),
        kind_of(store.job_events(ctx, job).await),
        kind_of(store.job_metrics(ctx, job, 0, 9).await),
        kind_of(store.job_logs(ctx, job, 0, 9).await),
    ];
    let lists = vec![
        kind_of(store.gate_list(ctx, page).await.map(|it| it.items)),
        kind_of(store.release_list(ctx, page).await.map(|it| it.items)),
        kind_of(store.endpoint_list(ctx).await),
        kind_of(store.rollout_list(ctx, None, page).await.map(|it| it.items)),
        kind_of(store.rollout_list_running(ctx).await),
        kind_of(store.dataset_list(ctx, page).await.map(|it| it.items)),
        kind_of(store.dataset_version_list(ctx, "d").await),
        kind_of(store.model_list(ctx, None, page).await.map(|it| it.items)),
        kind_of(store.evaluation_list(ctx, page).await.map(|it| it.items)),
        kind_of(store.job_list(ctx, &JobFilter::default(), page).await.map(|it| it.items)),
        kind_of(store.job_count_by_state(ctx).await),
    ];
    let owner = ArtifactOwner { kind: "k".into(), id: "i".into() };
    let stored = store.release_get(&bench.ctx, release).await.unwrap();
    let again = NewRelease { name: "n".into(), bundle: stored.bundle, gate: Some(gate_id) };
    let next = update(RolloutState::Running, 1, 50, "advance");
    let of_others = vec![
        kind_of(store.release_create(ctx, again).await),
        kind_of(store.endpoint_put(ctx, "desk", change(traffic)).await),
        kind_of(store.endpoint_rollback(ctx, "desk", "r").await),
        kind_of(store.rollout_start(ctx, rollout("desk", release)).await),
        kind_of(store.rollout_update(ctx, rollout_id, 1, next).await),
        kind_of(store.setting_remove(ctx, "kept").await),
        kind_of(store.job_cancel(ctx, job).await),
    ];
    let of_ones_own = vec![
        kind_of(store.gate_create(ctx, gate(true)).await),
        kind_of(store.dataset_version_create(ctx, "d2", dataset_version()).await),
        kind_of(store.model_create(ctx, base_model("m2")).await),
        kind_of(store.evaluation_create(ctx, evaluation()).await),
        kind_of(store.setting_put(ctx, "s", &json!(1)).await),
        kind_of(store.artifact_ref_add(ctx, &owner, &[Digest::of(b"")]).await),
        kind_of(store.artifact_ref_remove(ctx, &owner).await),
        kind_of(store.job_create(ctx, NewJob::of("k", "t", json!({}))).await),
    ];
    assert!(kind_of(store.api_key_revoke(ctx, key).await) != "Database");
    [by_name, lists, of_others, of_ones_own]
}

fn all_are(answers: &[String], expect: &str) {
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(answer, expect, "answer {place}");
    }
}

pub async fn nothing_crosses_projects(bench: Bench) {
    let made = populate(&bench).await;
    bench.store.setting_put(&bench.ctx, "kept", &json!(1)).await.unwrap();
    let before = bench.store.audit_verify(&bench.ctx).await.unwrap();
    let [by_name, lists, of_others, of_ones_own] =
        ask_everything(&bench, &bench.other, &made).await;
    all_are(&by_name, "NotFound");
    all_are(&lists, "Ok([])");
    all_are(&of_others, "NotFound");
    assert!(of_ones_own.iter().all(|answer| answer.starts_with("Ok(")), "{of_ones_own:?}");
    let (store, other) = (&bench.store, &bench.other);
    assert_eq!(kind_of(store.api_key_revoke(other, made.key).await), "NotFound");
    assert_eq!(store.setting_get(other, "kept").await.unwrap(), None);
    assert!(!store.artifact_ref_exists(other, Digest::of(b"m")).await.unwrap());
    let entries = store.audit_list(other, &AuditFilter::default(), &Page::first(99)).await.unwrap();
    assert!(entries.items.iter().all(|entry| entry.action != "rollout.start"));
    assert_eq!(store.project_get(other).await.unwrap().name, "two");
    // Nothing of all that touched the first project.
    assert_eq!(store.audit_verify(&bench.ctx).await.unwrap(), before);
    assert_eq!(store.setting_get(&bench.ctx, "kept").await.unwrap(), Some(json!(1)));
}

pub async fn rights_are_checked(bench: Bench) {
    let made = populate(&bench).await;
    let holding = |scope| OpContext {
        principal: Principal { name: "key:app".into(), scopes: vec![scope] },
        ..bench.ctx.clone()
    };
    let before = bench.store.audit_verify(&bench.ctx).await.unwrap();
    let app = holding(Scope::Inference);
    for answers in ask_everything(&bench, &app, &made).await {
        all_are(&answers, "Forbidden");
    }
    let reader = holding(Scope::Read);
    let [by_name, lists, of_others, of_ones_own] = ask_everything(&bench, &reader, &made).await;
    assert!(by_name.iter().chain(&lists).all(|answer| answer != "Forbidden"));
    all_are(&of_others, "Forbidden");
    all_are(&of_ones_own, "Forbidden");
    let store = &bench.store;
    let writer = holding(Scope::Write);
    for ctx in [&app, &reader, &writer] {
        assert_eq!(
            kind_of(store.api_key_create(ctx, "k", &[Scope::Read], [1; 32]).await),
            "Forbidden"
        );
        assert_eq!(kind_of(store.api_key_revoke(ctx, made.key).await), "Forbidden");
        assert_eq!(kind_of(store.api_key_list(ctx).await), "Forbidden");
        assert_eq!(kind_of(store.project_create(ctx, "p").await), "Forbidden");
    }
    // Even an administrator does not cross projects or hold jobs.
    let admin = &bench.ctx;
    let claims = Claims { owner: "o".into(), kinds: vec![], limit: 1, ttl: 1 };
    let lease = Lease { name: "l".into(), holder: "h".into(), epoch: 1, until: START };
    let job = pelton_metadata::JobLease {
        job: made.job,
        project: admin.project,
        owner: "o".into(),
        epoch: 1,
    };
    let backoff = Backoff::default();
    let outcome = pelton_metadata::JobOutcome::Cancelled;
    all_are(
        &[
            kind_of(store.project_list_all(admin).await),
            kind_of(store.rollout_list_running_all(admin).await),
            kind_of(store.artifact_ref_list_all(admin).await),
            kind_of(store.job_claim(admin, &claims, backoff).await),
            kind_of(store.job_heartbeat(admin, std::slice::from_ref(&job), 1).await),
            kind_of(store.job_record(admin, &job, &[]).await),
            kind_of(store.job_finish(admin, &job, outcome, backoff).await),
            kind_of(store.job_requeue_orphans(admin).await),
            kind_of(store.lease_acquire(admin, "l", "h", 1).await),
            kind_of(store.lease_check(admin, &lease).await),
            kind_of(store.lease_release(admin, &lease).await),
            kind_of(store.trace_parts_commit(admin, "s", &[]).await),
            kind_of(store.trace_parts_list(admin).await),
            kind_of(store.trace_segments_sealed(admin).await),
            kind_of(store.trace_segment_is_sealed(admin, "s").await),
            kind_of(store.trace_parts_remove(admin, &["p".into()]).await),
        ],
        "Forbidden",
    );
    assert_eq!(store.audit_verify(admin).await.unwrap(), before);
    assert_eq!(store.project_list_all(&bench.system).await.unwrap().len(), 2);
    assert_eq!(kind_of(store.project_create(admin, "one").await), "Conflict");
    let third = store.project_create(admin, "three").await.unwrap();
    let within = OpContext { project: third.id, ..admin.clone() };
    assert_eq!(store.audit_verify(&within).await.unwrap().entries, 1);
}

pub async fn deadlines_are_kept(bench: Bench) {
    let release = bench.release("r").await;
    let late = OpContext { deadline: Some(START.plus(-1)), ..bench.ctx.clone() };
    assert_eq!(kind_of(bench.store.release_get(&late, release.id).await), "DeadlineExceeded");
    let put = bench.store.endpoint_put(&late, "desk", change(all_to(&release))).await;
    assert_eq!(kind_of(put), "DeadlineExceeded");
    let timely = OpContext { deadline: Some(START), ..bench.ctx.clone() };
    assert_eq!(bench.store.release_get(&timely, release.id).await.unwrap(), release);
}
