//! kill -9 at random moments: nothing acknowledged is lost, every job ends right, nobody is left.

use crate::served::finished;
use crate::server::{Server, kill, pause, processes};
use pelton_client::Client;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often each process is killed.
const KILLS: usize = 20;
/// A record is durable within one group commit, 20 ms, after its call has ended; the bound is wider
/// because everything on this machine shares two cores.
const GROUP_COMMIT: Duration = Duration::from_millis(400);

fn question(number: usize) -> Value {
    json!({
        "model": "pelton-tiny",
        "max_tokens": 2,
        "messages": [{ "role": "user", "content": format!("Repeat: w{number}") }],
    })
}

/// Calls that were answered, with the time of the answer, and feedback that was acknowledged.
#[derive(Default)]
struct Acknowledged {
    calls: Vec<(String, Instant)>,
    feedback: BTreeSet<String>,
}

/// Asks without a pause until told to stop; what fails was not acknowledged.
async fn keep_asking(client: Client, stop: Arc<AtomicBool>, seen: Arc<Mutex<Acknowledged>>) {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let Ok(answer) = client.chat(&question(number)).await else {
            pause().await;
            continue;
        };
        let Some(id) = answer.inference_id else { continue };
        seen.lock().unwrap().calls.push((id.clone(), Instant::now()));
        if number % 3 == 0 {
            let feedback = json!({ "inference_id": id, "score": 1 });
            if let Ok(given) = client.post::<Value>("/api/v1/feedback", &feedback).await {
                let id = given["id"].as_str().unwrap().to_owned();
                seen.lock().unwrap().feedback.insert(id);
            }
        }
    }
}

/// Processes that work for the server of `folder`.
fn left_behind(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    processes()
        .into_iter()
        .map(|process| process.command)
        .filter(|command| command.contains("pelton") && command.contains(&folder))
        .collect()
}

async fn nobody_is_left(folder: &Path) {
    for _ in 0..500 {
        if left_behind(folder).is_empty() {
            return;
        }
        pause().await;
    }
    panic!("still there: {:?}", left_behind(folder));
}

async fn sleep(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = ChaCha8Rng::seed_from_u64(1);
    let mut server = Server::start(folder.path(), &[]).await;
    server.engine_ready().await;
    let mut safe: BTreeSet<String> = BTreeSet::new();
    let mut feedback: BTreeSet<String> = BTreeSet::new();
    let mut jobs = Vec::new();
    for _ in 0..KILLS {
        let seen = Arc::new(Mutex::new(Acknowledged::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let asking: Vec<_> = (0..4)
            .map(|_| tokio::spawn(keep_asking(server.client.clone(), stop.clone(), seen.clone())))
            .collect();
        let build = json!({
            "source": { "kind": "traces", "filter": { "endpoint": "pelton-tiny" }, "limit": 20 },
        });
        let job: Value =
            server.client.post("/api/v1/datasets/chaos/versions", &build).await.unwrap();
        jobs.push(job);
        sleep(moments.random_range(0..900)).await;
        server.kill();
        let killed = Instant::now();
        stop.store(true, Ordering::SeqCst);
        for asking in asking {
            asking.await.unwrap();
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let durable = seen.calls.into_iter().filter(|(_, at)| *at + GROUP_COMMIT < killed);
        safe.extend(durable.map(|(id, _)| id));
        feedback.extend(seen.feedback);
        server.restart().await;
    }
    server.engine_ready().await;
    assert!(!safe.is_empty() && !feedback.is_empty(), "there was traffic to lose");
    let mut recorded = BTreeSet::new();
    let mut recorded_feedback = BTreeSet::new();
    let export = server.client.download("/api/v1/traces/export").await.unwrap();
    for line in export.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let trace: Value = serde_json::from_slice(line).unwrap();
        let id = trace["id"].as_str().unwrap().to_owned();
        assert!(recorded.insert(id), "a record twice: {trace}");
        for item in trace["feedback_items"].as_array().unwrap() {
            recorded_feedback.insert(item["id"].as_str().unwrap().to_owned());
        }
    }
    let lost: Vec<_> = safe.difference(&recorded).collect();
    assert!(lost.is_empty(), "lost {} of {} calls: {lost:?}", lost.len(), safe.len());
    let lost: Vec<_> = feedback.difference(&recorded_feedback).collect();
    assert!(lost.is_empty(), "lost {} of {} feedback: {lost:?}", lost.len(), feedback.len());
    let mut versions = BTreeSet::new();
    for job in &jobs {
        let job = finished(&server, job).await;
        // A build over no calls yet has nothing to build from, and says so.
        if job["state"] == "succeeded" {
            let version = job["result"]["dataset"].as_str().unwrap().to_owned();
            assert!(versions.insert(version), "two jobs, one version: {job}");
        } else {
            assert_eq!(job["error"]["code"], "invalid_input", "{job}");
        }
    }
    let dataset: Value = server.client.get("/api/v1/datasets/chaos").await.unwrap();
    assert_eq!(dataset["versions"], json!(versions.len()), "each job published once");
    server.kill();
    nobody_is_left(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_comes_back_and_every_call_has_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = ChaCha8Rng::seed_from_u64(2);
    let mut server = Server::start(folder.path(), &[]).await;
    server.engine_ready().await;
    let seen = Arc::new(Mutex::new(Acknowledged::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| tokio::spawn(keep_asking(server.client.clone(), stop.clone(), seen.clone())))
        .collect();
    let mut killed = 0;
    while killed < KILLS {
        sleep(moments.random_range(0..500)).await;
        for engine in server.children("engine serve") {
            kill(engine);
            killed += 1;
        }
    }
    server.engine_ready().await;
    let answer = answer_again(&server).await;
    stop.store(true, Ordering::SeqCst);
    for asking in asking {
        asking.await.unwrap();
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let export = server.client.download("/api/v1/traces/export").await.unwrap();
    let mut recorded = BTreeSet::new();
    for line in export.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let trace: Value = serde_json::from_slice(line).unwrap();
        assert!(recorded.insert(trace["id"].as_str().unwrap().to_owned()), "a record twice");
        let status = trace["status"].as_str().unwrap();
        assert!(["ok", "error", "partial", "cancelled"].contains(&status), "{status}");
    }
    for (id, _) in &seen.calls {
        assert!(recorded.contains(id), "{id} has no record");
    }
    assert!(recorded.contains(&answer), "{answer} has no record");
    server.kill();
    nobody_is_left(folder.path()).await;
}

/// The id of the first call that is answered.
async fn answer_again(server: &Server) -> String {
    for number in 0..1_000 {
        if let Ok(answer) = server.client.chat(&question(number)).await {
            return answer.inference_id.unwrap();
        }
        pause().await;
    }
    panic!("the engine never answered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_training_goes_on_to_the_same_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = ChaCha8Rng::seed_from_u64(3);
    let mut server = Server::start(folder.path(), &[]).await;
    let rows: String = (0..40)
        .map(|number| {
            let messages = json!([{ "role": "user", "content": format!("Say {number} twice.") }]);
            let row = json!({ "messages": messages, "answer": format!("{number} {number}") });
            format!("{row}\n")
        })
        .collect();
    let digest = server.client.upload(rows.into()).await.unwrap();
    let build = json!({
        "source": { "kind": "blob", "digest": digest },
        "split": { "train": 1.0, "validation": 0.0, "test": 0.0 },
    });
    let job: Value = server.client.post("/api/v1/datasets/twice/versions", &build).await.unwrap();
    assert_eq!(finished(&server, &job).await["state"], "succeeded");
    let finetune = |name: &str| {
        json!({
            "name": name, "base": "pelton/pelton-tiny@1", "dataset": "twice@1", "seed": 9,
            "rank": 4, "epochs": 300, "batch_tokens": 256, "rehearsal": 0.2,
        })
    };
    let undisturbed: Value =
        server.client.post("/api/v1/finetunes", &finetune("undisturbed")).await.unwrap();
    let undisturbed = finished(&server, &undisturbed).await;
    assert_eq!(undisturbed["state"], "succeeded", "{undisturbed}");

    let killed: Value = server.client.post("/api/v1/finetunes", &finetune("killed")).await.unwrap();
    let path = format!("/api/v1/jobs/{}", killed["id"].as_str().unwrap());
    let mut kills = 0;
    // Attempts that are all killed before their first checkpoint end the job, and should: on a busy machine the
    // trainer gets longer after a kill that came before any progress.
    let (mut longest, mut before) = (900, 0.0);
    while kills < KILLS {
        let job: Value = server.client.get(&path).await.unwrap();
        if job["state"] == "succeeded" {
            break;
        }
        assert_ne!(job["state"], "failed", "{job}");
        if let Some(&trainer) = server.children("run-job").first() {
            sleep(moments.random_range(200..longest)).await;
            kill(trainer);
            kills += 1;
            let job: Value = server.client.get(&path).await.unwrap();
            let done = job["progress"]["done"].as_f64().unwrap();
            longest = if done > before { 900 } else { (longest * 2).min(20_000) };
            before = before.max(done);
        }
        pause().await;
    }
    assert!(kills >= KILLS / 2, "the training was over after {kills} kills");
    let job = finished(&server, &killed).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let weights = |reference: &str| {
        let path = format!("/api/v1/models/{}", pelton_client::escape(reference));
        let client = server.client.clone();
        async move {
            let model: Value = client.get(&path).await.unwrap();
            let files = model["files"].as_array().unwrap().clone();
            let weights = files.iter().find(|file| file["path"] == "adapter_model.safetensors");
            weights.unwrap()["digest"].clone()
        }
    };
    assert_eq!(weights("killed@1").await, weights("undisturbed@1").await, "bit for bit");
    let metrics: Value = server.client.get(&format!("{path}/metrics?limit=1000")).await.unwrap();
    let steps: Vec<i64> = metrics["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["step"].as_i64().unwrap())
        .collect();
    let distinct: BTreeSet<i64> = steps.iter().copied().collect();
    assert_eq!(distinct.len(), steps.len(), "a step is told once");
    server.kill();
    nobody_is_left(folder.path()).await;
}
