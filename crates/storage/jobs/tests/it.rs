//! Jobs with real processes on a real store: this binary plays the server and the jobs too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use pelton_context::{OpContext, SystemClock};
use pelton_ids::JobId;
use pelton_jobs::{JobRunner, MAX_LINE, Reporter, RunnerOptions};
use pelton_metadata::{Backoff, Job, JobError, JobState, NewJob, Store};
use pelton_supervise::{ChildSpec, exit_with_parent};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

type Test = (&'static str, fn());

/// A harness of its own, since the binary must also be able to play a job.
const TESTS: &[Test] = &[
    ("a_job_runs_and_all_it_says_is_kept", runs),
    ("a_job_that_is_killed_resumes_from_its_checkpoint", resumes_after_kill),
    ("a_server_that_is_killed_takes_its_jobs_along_and_the_next_one_resumes", survives_server_kill),
    ("a_running_job_is_cancelled", cancels),
    ("a_job_that_will_not_stop_is_killed", cancels_stubborn),
    ("a_failure_is_told_and_not_tried_again", fails_once),
    ("a_failure_that_may_pass_is_tried_until_enough", fails_until_enough),
    ("a_shutdown_gives_jobs_back", gives_back),
    ("a_job_that_was_taken_over_is_left_alone", leaves_lost_jobs_alone),
    ("a_job_that_breaks_the_protocol_fails", refuses_endless_lines),
    ("a_job_that_ends_without_a_result_fails", wants_a_result),
    ("jobs_fill_the_slots_in_order_of_priority", fills_slots),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("job") => return play_job(&args[1], Path::new(&args[2])),
        Some("server") => return play_server(Path::new(&args[1])),
        _ if args.iter().any(|arg| arg == "--list") => {
            let ignored = args.iter().any(|arg| arg == "--ignored");
            TESTS.iter().filter(|_| !ignored).for_each(|(name, _)| println!("{name}: test"));
            return;
        }
        _ => {}
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
}

const STEPS: i64 = 20;
/// The step after which the process is killed once.
const KILL_AT: i64 = 12;

/// This binary as a job's process, with a folder for its checkpoints.
fn play_job(kind: &str, folder: &Path) {
    exit_with_parent(9);
    let say = Reporter::to_runner();
    std::fs::write(folder.join("pid"), std::process::id().to_string()).unwrap();
    match kind {
        "count" => count(&say, folder, None),
        "killed" => count(&say, folder, Some(KILL_AT)),
        // Stops at a step until somebody lets it go on.
        "held" => {
            if !folder.join("go").exists() {
                count_to(&say, folder, KILL_AT);
                say.log("info", "waiting").unwrap();
                park();
            }
            count(&say, folder, None);
        }
        "wait" => {
            say.log("info", "waiting").unwrap();
            park();
        }
        "bad" => {
            let hint = "upload a dataset with rows".into();
            let (code, message) = ("bad_input".into(), "the dataset is empty".into());
            say.error(JobError { code, message, hint, retryable: false }).unwrap();
        }
        "crash" => {
            #[allow(clippy::print_stderr, reason = "a crash says why on standard error")]
            {
                eprintln!("out of luck");
            }
            std::process::exit(3);
        }
        "endless" => println!("{}", "x".repeat(MAX_LINE + 1)),
        "silent" => {}
        other => panic!("no job {other}"),
    }
}

fn park() {
    loop {
        std::thread::park();
    }
}

fn count(say: &Reporter, folder: &Path, kill_at: Option<i64>) {
    if let Some(step) = kill_at.filter(|_| !folder.join("step").exists()) {
        count_to(say, folder, step);
        kill(std::process::id());
        park();
    }
    count_to(say, folder, STEPS);
    say.result(json!({ "steps": STEPS })).unwrap();
}

/// Goes on from the checkpoint, which is written every fifth step, so that some steps repeat.
fn count_to(say: &Reporter, folder: &Path, last: i64) {
    let checkpoint = folder.join("step");
    let done = std::fs::read_to_string(&checkpoint).map_or(0, |text| text.parse().unwrap());
    say.log("info", format!("from step {done}")).unwrap();
    for step in done + 1..=last {
        say.metric(step, json!({ "loss": 1.0 / step as f64 })).unwrap();
        say.progress(step, Some(STEPS), "steps", "counting").unwrap();
        if step % 5 == 0 {
            std::fs::write(&checkpoint, step.to_string()).unwrap();
        }
    }
}

/// This binary as a server that runs jobs until it is killed.
fn play_server(folder: &Path) {
    block_on(async {
        let bench = Bench::open(folder.to_owned()).await;
        let _runner = bench.runner(1).await;
        std::future::pending::<()>().await;
    });
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(test);
}

/// A store in a folder, and what tests do with it.
struct Bench {
    store: Store,
    ctx: OpContext,
    folder: PathBuf,
    _kept: Option<TempDir>,
}

impl Bench {
    async fn open(folder: PathBuf) -> Self {
        let store =
            Store::open_sqlite(&folder.join("meta.db"), Arc::new(SystemClock)).await.unwrap();
        let project = store.project_ensure("default").await.unwrap();
        Self { store, ctx: OpContext::system(project.id), folder, _kept: None }
    }

    async fn fresh() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let bench = Self::open(kept.path().to_owned()).await;
        Self { _kept: Some(kept), ..bench }
    }

    async fn runner(&self, slots: u32) -> JobRunner {
        let options = RunnerOptions {
            slots,
            poll: Duration::from_millis(10),
            grace: Duration::from_millis(300),
            backoff: Backoff { base: 1_000, max: 2_000 },
            ..RunnerOptions::default()
        };
        let folder = self.folder.clone();
        let command = Arc::new(move |claimed: &pelton_metadata::ClaimedJob| {
            let own = folder.join(claimed.job.id.to_string());
            std::fs::create_dir_all(&own).unwrap();
            if claimed.job.kind == "stubborn" {
                let script = r#"trap '' TERM; echo $$ > "$0/pid"; echo waiting; while :; do sleep 1000; done"#;
                return ChildSpec::new("/bin/sh", ["-c", script, own.to_str().unwrap()]);
            }
            let exe = std::env::current_exe().unwrap();
            ChildSpec::new(exe, ["job", &claimed.job.kind, own.to_str().unwrap()])
        });
        JobRunner::start(self.store.clone(), self.ctx.clone(), options, command).await.unwrap()
    }

    async fn queue(&self, kind: &str) -> JobId {
        let new = NewJob { max_attempts: 3, ..NewJob::of(kind, kind, json!({})) };
        self.store.job_create(&self.ctx, new).await.unwrap().id
    }

    async fn job(&self, id: JobId) -> Job {
        self.store.job_get(&self.ctx, id).await.unwrap()
    }

    async fn until(&self, id: JobId, reached: impl Fn(&Job) -> bool) -> Job {
        loop {
            let job = self.job(id).await;
            if reached(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    async fn until_ended(&self, id: JobId) -> Job {
        self.until(id, |job| job.state.is_final()).await
    }

    /// Waits for the job's process to say that it waits, and answers its number.
    async fn until_waiting(&self, id: JobId) -> u32 {
        loop {
            let logs = self.store.job_logs(&self.ctx, id, 0, 100).await.unwrap();
            if logs.iter().any(|log| log.message == "waiting") {
                let pid = self.folder.join(id.to_string()).join("pid");
                return std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Every step once, in order, and the result.
    async fn assert_counted(&self, id: JobId) {
        let job = self.until_ended(id).await;
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        assert_eq!(job.result, Some(json!({ "steps": STEPS })));
        assert_eq!(job.progress.map(|progress| progress.done), Some(STEPS));
        let metrics = self.store.job_metrics(&self.ctx, id, 0, 1_000).await.unwrap();
        let steps: Vec<(i64, i64)> = metrics.iter().map(|it| (it.seq, it.step)).collect();
        assert_eq!(steps, (1..=STEPS).map(|step| (step, step)).collect::<Vec<_>>());
    }

    async fn messages(&self, id: JobId) -> Vec<String> {
        let logs = self.store.job_logs(&self.ctx, id, 0, 1_000).await.unwrap();
        logs.into_iter().map(|log| log.message).collect()
    }

    async fn events(&self, id: JobId) -> Vec<String> {
        let events = self.store.job_events(&self.ctx, id).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

fn runs_still(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

async fn gone(pid: u32) {
    while runs_still(pid) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}

fn runs() {
    block_on(async {
        let bench = Bench::fresh().await;
        let runner = bench.runner(1).await;
        let id = bench.queue("count").await;
        bench.assert_counted(id).await;
        assert_eq!(bench.messages(id).await, ["from step 0"]);
        assert_eq!(bench.events(id).await, ["queued", "started", "ended"]);
        runner.shutdown().await;
    });
}

fn resumes_after_kill() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("killed").await;
        bench.assert_counted(id).await;
        let job = bench.job(id).await;
        assert_eq!((job.attempt, job.error), (2, None));
        // What it said before it was killed is there, and it did not begin anew.
        assert_eq!(bench.messages(id).await, ["from step 0", "from step 10"]);
        assert_eq!(bench.events(id).await, ["queued", "started", "retried", "started", "ended"]);
    });
}

fn survives_server_kill() {
    block_on(async {
        let bench = Bench::fresh().await;
        let mut server = tokio::process::Command::new(std::env::current_exe().unwrap())
            .arg("server")
            .arg(&bench.folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let id = bench.queue("held").await;
        let child = bench.until_waiting(id).await;
        server.start_kill().unwrap(); // SIGKILL
        server.wait().await.unwrap();
        gone(child).await;
        assert_eq!(bench.job(id).await.state, JobState::Running);
        std::fs::write(bench.folder.join(id.to_string()).join("go"), "").unwrap();
        let runner = bench.runner(1).await;
        bench.assert_counted(id).await;
        assert_eq!(bench.messages(id).await, ["from step 0", "waiting", "from step 10"]);
        runner.shutdown().await;
    });
}

fn cancels() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("wait").await;
        let child = bench.until_waiting(id).await;
        bench.store.job_cancel(&bench.ctx, id).await.unwrap();
        assert_eq!(bench.until_ended(id).await.state, JobState::Cancelled);
        gone(child).await;
        // The slot is free again.
        let next = bench.queue("count").await;
        bench.assert_counted(next).await;
    });
}

fn cancels_stubborn() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("stubborn").await;
        let child = bench.until_waiting(id).await;
        bench.store.job_cancel(&bench.ctx, id).await.unwrap();
        assert_eq!(bench.until_ended(id).await.state, JobState::Cancelled);
        gone(child).await;
    });
}

fn fails_once() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("bad").await;
        let job = bench.until_ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Failed, 1));
        let error = job.error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.hint.as_str()),
            ("bad_input", "upload a dataset with rows")
        );
    });
}

fn fails_until_enough() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("crash").await;
        let job = bench.until_ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Failed, 3));
        assert_eq!(
            job.error.unwrap().message,
            "the job's process crashed: exit code 3; it wrote last: out of luck"
        );
    });
}

fn gives_back() {
    block_on(async {
        let bench = Bench::fresh().await;
        let runner = bench.runner(1).await;
        let id = bench.queue("held").await;
        let child = bench.until_waiting(id).await;
        runner.shutdown().await;
        gone(child).await;
        let job = bench.job(id).await;
        assert_eq!((job.state, job.error), (JobState::Queued, None));
        std::fs::write(bench.folder.join(id.to_string()).join("go"), "").unwrap();
        let _runner = bench.runner(1).await;
        bench.assert_counted(id).await;
    });
}

fn leaves_lost_jobs_alone() {
    block_on(async {
        let bench = Bench::fresh().await;
        let runner = bench.runner(1).await;
        let id = bench.queue("wait").await;
        let child = bench.until_waiting(id).await;
        // As if another worker had taken it over: what the first says from now on does not count.
        let other = Bench::open(bench.folder.clone()).await;
        let mut taken = vec![];
        while taken.is_empty() {
            other.store.job_requeue_orphans(&bench.ctx).await.unwrap();
            let claims = pelton_metadata::Claims {
                owner: "other".into(),
                kinds: vec![],
                limit: 1,
                ttl: 60_000_000,
            };
            taken = other.store.job_claim(&bench.ctx, &claims, Backoff::default()).await.unwrap();
        }
        gone(child).await;
        runner.shutdown().await;
        let job = bench.job(id).await;
        assert_eq!(job.state, JobState::Running);
        let held =
            other.store.job_heartbeat(&bench.ctx, &[taken[0].lease.clone()], 1).await.unwrap();
        assert_eq!(held, [(id, pelton_metadata::Heartbeat::Held)]);
    });
}

fn refuses_endless_lines() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("endless").await;
        let job = bench.until_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "protocol"));
    });
}

fn wants_a_result() {
    block_on(async {
        let bench = Bench::fresh().await;
        let _runner = bench.runner(1).await;
        let id = bench.queue("silent").await;
        let job = bench.until_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "no_result"));
    });
}

fn fills_slots() {
    block_on(async {
        let bench = Bench::fresh().await;
        let mut ids = vec![];
        for priority in [0, 5, 5] {
            let new = NewJob { priority, ..NewJob::of("wait", "wait", json!({})) };
            ids.push(bench.store.job_create(&bench.ctx, new).await.unwrap().id);
        }
        let runner = bench.runner(2).await;
        bench.until_waiting(ids[1]).await;
        bench.until_waiting(ids[2]).await;
        assert_eq!(bench.job(ids[0]).await.state, JobState::Queued);
        bench.store.job_cancel(&bench.ctx, ids[1]).await.unwrap();
        bench.until_waiting(ids[0]).await;
        runner.shutdown().await;
    });
}
