//! The job queue: leases, fences, retries.

use crate::bench::{Bench, kind_of};
use pelton_ids::JobId;
use pelton_metadata::{
    Backoff, ClaimedJob, Claims, Heartbeat, JobError, JobFilter, JobOutcome, JobProgress,
    JobRecord, JobState, NewJob, Page,
};
use serde_json::json;

const TTL: i64 = 60_000_000;
const BACKOFF: Backoff = Backoff { base: 1_000, max: 1_000_000 };

fn claims(owner: &str) -> Claims {
    Claims { owner: owner.into(), kinds: vec![], limit: 10, ttl: TTL }
}

fn error(code: &str, retryable: bool) -> JobError {
    JobError { code: code.into(), message: "m".into(), hint: "h".into(), retryable }
}

impl Bench {
    async fn queue(&self, kind: &str) -> JobId {
        self.store
            .job_create(&self.ctx, NewJob::of(kind, "title", json!({ "x": 1 })))
            .await
            .unwrap()
            .id
    }

    async fn claim(&self, owner: &str) -> Vec<ClaimedJob> {
        self.store.job_claim(&self.system, &claims(owner), BACKOFF).await.unwrap()
    }

    async fn claim_one(&self, owner: &str) -> ClaimedJob {
        let mut claimed = self.claim(owner).await;
        assert_eq!(claimed.len(), 1);
        claimed.pop().unwrap()
    }

    async fn state(&self, id: JobId) -> JobState {
        self.store.job_get(&self.ctx, id).await.unwrap().state
    }

    async fn events(&self, id: JobId) -> String {
        let events = self.store.job_events(&self.ctx, id).await.unwrap();
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>().join(" ")
    }
}

pub async fn a_job_from_queue_to_result(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let id = bench.queue("finetune").await;
    let queued = store.job_get(ctx, id).await.unwrap();
    assert_eq!((queued.state, queued.attempt, queued.started_at), (JobState::Queued, 0, None));
    bench.clock.advance(10);
    let ClaimedJob { job, lease } = bench.claim_one("w").await;
    assert_eq!((job.id, job.state, job.attempt), (id, JobState::Running, 1));
    assert_eq!((lease.project, lease.epoch), (ctx.project, 1));
    assert!(bench.claim("v").await.is_empty());
    let progress =
        JobProgress { done: 3, total: Some(9), unit: "steps".into(), message: "m".into() };
    let record = [JobRecord::Progress(progress.clone())];
    store.job_record(system, &lease, &record).await.unwrap();
    assert_eq!(store.job_get(ctx, id).await.unwrap().progress, Some(progress));
    bench.clock.advance(10);
    let outcome = JobOutcome::Succeeded(json!({ "model": "m@1" }));
    let ended = store.job_finish(system, &lease, outcome, BACKOFF).await.unwrap();
    assert_eq!(
        (ended.state, &ended.result),
        (JobState::Succeeded, &Some(json!({ "model": "m@1" })))
    );
    assert_eq!(ended.ended_at.unwrap().0 - ended.started_at.unwrap().0, 10);
    assert_eq!(bench.events(id).await, "queued started ended");
    let filter = JobFilter { kind: Some("finetune".into()), state: Some(JobState::Succeeded) };
    assert_eq!(store.job_list(ctx, &filter, &Page::default()).await.unwrap().items, [ended]);
    let none = JobFilter { state: Some(JobState::Failed), ..filter };
    assert!(store.job_list(ctx, &none, &Page::default()).await.unwrap().items.is_empty());
    assert_eq!(store.job_count_by_state(ctx).await.unwrap(), [(JobState::Succeeded, 1)]);
    // Asked for again under one key, it is one job while it lives.
    let keyed = NewJob { dedupe_key: Some("k".into()), ..NewJob::of("finetune", "t", json!({})) };
    let one = store.job_create(ctx, keyed.clone()).await.unwrap();
    assert_eq!(store.job_create(ctx, keyed.clone()).await.unwrap().id, one.id);
    store.job_cancel(ctx, one.id).await.unwrap();
    assert_ne!(store.job_create(ctx, keyed).await.unwrap().id, one.id);
}

pub async fn a_lease_fences(bench: Bench) {
    let Bench { store, system, .. } = &bench;
    let id = bench.queue("work").await;
    let first = bench.claim_one("sleeper").await.lease;
    bench.clock.advance(TTL - 1);
    let held = store.job_heartbeat(system, std::slice::from_ref(&first), TTL).await.unwrap();
    assert_eq!(held, [(id, Heartbeat::Held)]);
    bench.clock.advance(TTL - 1);
    assert!(bench.claim("other").await.is_empty());
    bench.clock.advance(2);
    // The lease ran out: a failure, then a wait, then somebody else's.
    assert!(bench.claim("other").await.is_empty());
    assert_eq!(bench.state(id).await, JobState::Queued);
    bench.clock.advance(BACKOFF.base);
    let second = bench.claim_one("other").await;
    assert_eq!((second.lease.epoch > first.epoch, second.job.attempt), (true, 2));
    assert_eq!(second.job.error.as_ref().map(|error| error.code.as_str()), Some("worker_lost"));
    // The sleeper wakes: whatever it writes is refused.
    let log = [JobRecord::Log { level: "info".into(), message: "zombie".into() }];
    assert_eq!(kind_of(store.job_record(system, &first, &log).await), "Fenced");
    let outcome = JobOutcome::Succeeded(json!("zombie"));
    assert_eq!(kind_of(store.job_finish(system, &first, outcome, BACKOFF).await), "Fenced");
    let both = [first, second.lease.clone()];
    let told = store.job_heartbeat(system, &both, TTL).await.unwrap();
    assert_eq!(told, [(id, Heartbeat::Lost), (id, Heartbeat::Held)]);
    store.job_record(system, &second.lease, &log).await.unwrap();
    let outcome = JobOutcome::Succeeded(json!("real"));
    store.job_finish(system, &second.lease, outcome.clone(), BACKOFF).await.unwrap();
    // Nor twice.
    assert_eq!(kind_of(store.job_finish(system, &second.lease, outcome, BACKOFF).await), "Fenced");
}

pub async fn failures_back_off_and_progress_forgives(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let new = NewJob { max_attempts: 3, ..NewJob::of("work", "w", json!({})) };
    let id = store.job_create(ctx, new.clone()).await.unwrap().id;
    let attempt = async |done: i64, retryable: bool| {
        let lease = bench.claim_one("w").await.lease;
        let progress = JobProgress { done, ..JobProgress::default() };
        store.job_record(system, &lease, &[JobRecord::Progress(progress)]).await.unwrap();
        let failed = JobOutcome::Failed(error("crashed", retryable));
        store.job_finish(system, &lease, failed, BACKOFF).await.unwrap().state
    };
    // Failures without progress: the wait doubles.
    for wait in [1_000, 2_000] {
        assert_eq!(attempt(0, true).await, JobState::Queued);
        bench.clock.advance(wait - 1);
        assert!(bench.claim("w").await.is_empty());
        bench.clock.advance(1);
    }
    // Progress since the last failure: the count begins anew, however often it is killed.
    for done in [5, 10, 15] {
        assert_eq!(attempt(done, true).await, JobState::Queued);
        bench.clock.advance(1_000);
    }
    assert_eq!(attempt(15, true).await, JobState::Queued);
    bench.clock.advance(2_000);
    assert_eq!(attempt(15, true).await, JobState::Failed);
    let job = store.job_get(ctx, id).await.unwrap();
    assert_eq!((job.attempt, job.error), (7, Some(error("crashed", true))));
    // What cannot pass is not tried again.
    store.job_create(ctx, new).await.unwrap();
    assert_eq!(attempt(0, false).await, JobState::Failed);
}

pub async fn cancel_and_requeue(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let waiting = bench.queue("work").await;
    let stopped = store.job_cancel(ctx, waiting).await.unwrap();
    assert_eq!((stopped.state, stopped.ended_at.is_some()), (JobState::Cancelled, true));
    // A running one is told by its heartbeat.
    let id = bench.queue("work").await;
    let lease = bench.claim_one("w").await.lease;
    let asked = store.job_cancel(ctx, id).await.unwrap();
    assert_eq!((asked.state, asked.cancel_requested), (JobState::Running, true));
    let told = store.job_heartbeat(system, std::slice::from_ref(&lease), TTL).await.unwrap();
    assert_eq!(told, [(id, Heartbeat::Cancel)]);
    let ended = store.job_finish(system, &lease, JobOutcome::Cancelled, BACKOFF).await.unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
    assert_eq!(bench.events(id).await, "queued started cancel_requested ended");
    // An ended one stays as it is.
    assert_eq!(store.job_cancel(ctx, id).await.unwrap(), ended);
    // One that was done before it noticed is done.
    let quick = bench.queue("work").await;
    let lease = bench.claim_one("w").await.lease;
    store.job_cancel(ctx, quick).await.unwrap();
    store.job_finish(system, &lease, JobOutcome::Succeeded(json!(1)), BACKOFF).await.unwrap();
    assert_eq!(bench.state(quick).await, JobState::Succeeded);
    // A server that starts takes up what was running, at once and without a failure, but not what
    // was cancelled.
    let (kept, gone) = (bench.queue("work").await, bench.queue("work").await);
    let lease = bench.claim("w").await.remove(0).lease;
    store.job_cancel(ctx, gone).await.unwrap();
    assert_eq!(store.job_requeue_orphans(system).await.unwrap(), [kept, gone]);
    assert_eq!(
        (bench.state(kept).await, bench.state(gone).await),
        (JobState::Queued, JobState::Cancelled)
    );
    assert_eq!(kind_of(store.job_record(system, &lease, &[]).await), "Fenced");
    assert_eq!(bench.claim_one("w").await.job.id, kept);
}

pub async fn metrics_and_logs_are_kept_once(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let id = bench.queue("work").await;
    let lease = bench.claim_one("w").await.lease;
    let metric = |step: i64, loss: f64| JobRecord::Metric { step, values: json!({ "loss": loss }) };
    let log = |message: &str| JobRecord::Log { level: "info".into(), message: message.into() };
    let first = [metric(1, 0.9), log("one"), metric(2, 0.8), log("two"), metric(3, 0.7)];
    store.job_record(system, &lease, &first).await.unwrap();
    // A resume from step 2 says step 3 again.
    store.job_record(system, &lease, &[metric(3, 0.7), metric(4, 0.6)]).await.unwrap();
    let metrics = store.job_metrics(ctx, id, 0, 100).await.unwrap();
    let told: Vec<_> =
        metrics.iter().map(|it| (it.seq, it.step, it.values["loss"].as_f64())).collect();
    assert_eq!(told, [(1, 1, Some(0.9)), (2, 2, Some(0.8)), (3, 3, Some(0.7)), (4, 4, Some(0.6))]);
    assert_eq!(store.job_metrics(ctx, id, 2, 1).await.unwrap(), metrics[2..3]);
    let logs = store.job_logs(ctx, id, 1, 100).await.unwrap();
    assert_eq!((logs.len(), logs[0].seq, logs[0].message.as_str()), (1, 2, "two"));
    // A long line is cut between letters.
    store.job_record(system, &lease, &[log(&"é".repeat(10_000))]).await.unwrap();
    let long = store.job_logs(ctx, id, 2, 1).await.unwrap().remove(0).message;
    assert_eq!((long.len(), long.chars().all(|letter| letter == 'é')), (16_384, true));
}

pub async fn claims_follow_priority_and_kind(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    let mut ids = vec![];
    for (kind, priority) in [("a", 0), ("dataset_build", 5), ("a", 5), ("b", 9)] {
        let new = NewJob { priority, ..NewJob::of(kind, kind, json!({})) };
        ids.push(store.job_create(ctx, new).await.unwrap().id);
        bench.clock.advance(1);
    }
    let claim = async |kinds: &[&str], limit: u32| {
        let kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
        let claims = Claims { kinds, limit, ..claims("w") };
        let claimed = store.job_claim(system, &claims, BACKOFF).await.unwrap();
        claimed.into_iter().map(|it| it.job.id).collect::<Vec<_>>()
    };
    // `_` stands for itself.
    assert_eq!(claim(&["dataset-build", "datasetxbuild"], 9).await, []);
    assert_eq!(claim(&["a", "dataset_build"], 2).await, [ids[1], ids[2]]);
    assert_eq!(claim(&[], 9).await, [ids[3], ids[0]]);
}
