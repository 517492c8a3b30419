//! Searches of hyperparameters, as jobs from their request to the adapter and the report that they publish.

use crate::finetunes::dataset;
use crate::served::finished;
use crate::server::{Server, kill, pause};
use pelton_client::{ClientError, escape};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::time::Duration;

/// Rows, of which a tenth is held out.
const ROWS: u32 = 40;

fn request(name: &str, extra: &Value) -> Value {
    let mut request = json!({
        "name": name, "base": "pelton/pelton-tiny@1", "dataset": "twice@1", "seed": 3,
        "batch_tokens": 128, "rehearsal": 0.0,
    });
    for (key, value) in extra.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

async fn search(server: &Server, name: &str, extra: &Value) -> Value {
    let request = request(name, extra);
    let job: Value = server.client.post("/api/v1/searches", &request).await.unwrap();
    finished(server, &job).await
}

/// A model that a search published, its report, and the digest of its weights.
async fn published(server: &Server, reference: &str) -> (Value, Value, Value) {
    let path = format!("/api/v1/models/{}", escape(reference));
    let model: Value = server.client.get(&path).await.unwrap();
    let digest = |path: &str| {
        let file = model["files"].as_array().unwrap().iter().find(|file| file["path"] == path);
        file.unwrap_or_else(|| panic!("{path} of {model}"))["digest"].clone()
    };
    let (report, weights) = (digest("search_report.json"), digest("adapter_model.safetensors"));
    assert_eq!(model["lineage"]["search"]["report"], report);
    let path = format!("/api/v1/blobs/{}", escape(report.as_str().unwrap()));
    let report = server.client.download(&path).await.unwrap();
    for picture in ["search_loss_by_trial.svg", "search_loss_by_learning_rate.svg"] {
        assert!(digest(picture).is_string());
    }
    (model.clone(), serde_json::from_slice(&report).unwrap(), weights)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// What holds for every report.
fn check_report(report: &Value) {
    let trials = report["trials"].as_array().unwrap();
    let best = &report["best"];
    let losses = trials.iter().filter_map(|trial| trial["val_loss"].as_f64());
    let least = losses.fold(f64::INFINITY, f64::min);
    assert!((number(&best["val_loss"]) - least).abs() < 1e-12, "{report}");
    let winner = &trials[best["trial"].as_u64().unwrap() as usize - 1];
    assert_eq!(winner["hyperparameters"], best["hyperparameters"]);
    let curve = winner["curve"].as_array().unwrap();
    let lowest = curve.iter().map(|point| number(&point["val_loss"])).fold(f64::INFINITY, f64::min);
    assert!((lowest - least).abs() < 1e-6, "the curve has its best point: {winner}");
    let tokens: f64 = trials.iter().map(|trial| number(&trial["tokens"])).sum();
    assert!((tokens - number(&report["spent"]["tokens"])).abs() < 0.5, "{report}");
    assert!(least < number(&winner["initial_val_loss"]), "it learned: {winner}");
}

/// A report without what differs from run to run.
fn timeless(report: &Value) -> Value {
    let mut report = report.clone();
    report["spent"]["seconds"] = Value::Null;
    report["name"] = Value::Null;
    report["best"]["command"] = Value::Null;
    for trial in report["trials"].as_array_mut().unwrap() {
        trial["seconds"] = Value::Null;
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_finds_an_adapter_within_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    dataset(&server, ROWS).await;

    // Successive halving: a third goes on to each rung.
    let budget = 60_000;
    let extra = json!({ "budget_tokens": budget, "trials": 9, "epochs": 9,
        "targets": ["all", "attention"] });
    let job = search(&server, "halved", &extra).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["result"]["model"], "halved@1");
    let (model, report, weights) = published(&server, "halved@1").await;
    check_report(&report);
    assert!(number(&report["spent"]["tokens"]) <= f64::from(budget), "{report}");
    let trials = report["trials"].as_array().unwrap();
    let count = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!((trials.len(), count("outpaced")), (9, 8), "{report}");
    let mut steps: Vec<u64> = trials.iter().map(|trial| trial["steps"].as_u64().unwrap()).collect();
    steps.sort_unstable();
    let whole = trials[0]["planned_steps"].as_u64().unwrap();
    let first = whole / 9;
    assert_eq!(steps[..6], [first; 6], "two thirds stop at a ninth: {steps:?}");
    assert_eq!(steps[6..8], [3 * first; 2], "{steps:?}");
    assert_eq!(report["validation"]["examples"], 4, "a tenth is held out");
    assert_eq!(report["importance"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&model["kind"], &model["lineage"]["dataset"]),
        (&json!("adapter"), &json!("twice@1"))
    );
    let rank = &report["best"]["hyperparameters"]["rank"];
    assert_eq!(&model["lineage"]["hyperparameters"]["method"]["rank"], rank);
    assert_eq!(&job["result"]["rank"], rank);
    let card = model["card"].as_str().unwrap();
    assert!(card.contains("## Search") && card.contains("--targets"), "{card}");
    let path = format!("/api/v1/jobs/{}/metrics?limit=1000", job["id"].as_str().unwrap());
    let metrics: Value = server.client.get(&path).await.unwrap();
    let told = metrics["items"].as_array().unwrap();
    assert_eq!(told.len() as u64, steps.iter().sum::<u64>(), "each step is told once");
    let last = &told.last().unwrap()["values"];
    let best = number(&report["best"]["val_loss"]);
    assert!((number(&last["best_val_loss"]) - best).abs() < 1e-9, "{last}");

    // The same again gives the same bits.
    let again = search(&server, "halved", &extra).await;
    assert_eq!(again["result"]["model"], "halved@2", "{again}");
    let (_, same, same_weights) = published(&server, "halved@2").await;
    assert_eq!((same_weights, timeless(&same)), (weights, timeless(&report)));

    // A budget that pays for a few whole runs.
    let extra =
        json!({ "method": "tpe", "budget_tokens": 24_000, "epochs": { "from": 1, "to": 3 } });
    let job = search(&server, "estimated", &extra).await;
    assert_eq!(
        (&job["state"], &job["result"]["ended"]),
        (&json!("succeeded"), &json!("budget")),
        "{job}"
    );
    let (_, report, _) = published(&server, "estimated@1").await;
    check_report(&report);
    assert!(number(&report["spent"]["tokens"]) <= 24_000.0, "{report}");
    let rest = 24_000.0 - number(&report["spent"]["tokens"]);
    let trials = report["trials"].as_array().unwrap();
    let cheapest =
        trials.iter().map(|trial| number(&trial["tokens"])).fold(f64::INFINITY, f64::min);
    assert!(trials.len() > 6, "some are from the estimator: {}", trials.len());
    assert!(rest < 3.0 * cheapest, "{rest} are left of the budget, a trial takes {cheapest}");

    // All there is to try, half of it far too fast.
    let extra =
        json!({ "method": "random", "learning_rate": [1e-3, 1.0], "rank": [4, 8], "epochs": 2 });
    let job = search(&server, "listed", &extra).await;
    assert_eq!(
        (&job["state"], &job["result"]["trials"]),
        (&json!("succeeded"), &json!(4)),
        "{job}"
    );
    let (_, report, _) = published(&server, "listed@1").await;
    check_report(&report);
    assert_eq!(report["best"]["hyperparameters"]["learning_rate"], 1e-3, "{report}");

    // Minutes.
    let extra = json!({ "method": "random", "budget_minutes": 0.1, "epochs": 2 });
    let job = search(&server, "timed", &extra).await;
    assert_eq!(
        (&job["state"], &job["result"]["ended"]),
        (&json!("succeeded"), &json!("budget")),
        "{job}"
    );
    let (_, report, _) = published(&server, "timed@1").await;
    check_report(&report);
    assert!(number(&report["spent"]["seconds"]) >= 6.0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_search_ends_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let mut moments = ChaCha8Rng::seed_from_u64(4);
    let server = Server::start(folder.path(), &[]).await;
    dataset(&server, ROWS).await;
    for (name, extra) in [
        ("halving", json!({ "trials": 9, "epochs": 60, "budget_tokens": 1_000_000 })),
        ("tpe", json!({ "method": "tpe", "trials": 9, "epochs": { "from": 15, "to": 20 } })),
    ] {
        let undisturbed = search(&server, name, &extra).await;
        assert_eq!(undisturbed["state"], "succeeded", "{undisturbed}");
        let killed: Value =
            server.client.post("/api/v1/searches", &request(name, &extra)).await.unwrap();
        let path = format!("/api/v1/jobs/{}", killed["id"].as_str().unwrap());
        let (mut kills, mut longest, mut before) = (0, 1_500, 0.0);
        while kills < 8 {
            let job: Value = server.client.get(&path).await.unwrap();
            if job["state"] == "succeeded" {
                break;
            }
            assert_ne!(job["state"], "failed", "{job}");
            if let Some(&trainer) = server.children("run-job").first() {
                let moment = Duration::from_millis(moments.random_range(300..longest));
                tokio::time::sleep(moment).await;
                kill(trainer);
                kills += 1;
                // On a busy machine it gets longer after a kill that came before any progress.
                let job: Value = server.client.get(&path).await.unwrap();
                let done = job["progress"]["done"].as_f64().unwrap();
                longest = if done > before { 1_500 } else { (longest * 2).min(20_000) };
                before = before.max(done);
            }
            pause().await;
        }
        assert!(kills >= 3, "the search was over after {kills} kills");
        let job = finished(&server, &killed).await;
        assert_eq!(job["state"], "succeeded", "{job}");
        let (_, report, weights) = published(&server, &format!("{name}@1")).await;
        let (_, again, same_weights) = published(&server, &format!("{name}@2")).await;
        check_report(&report);
        assert_eq!(timeless(&again), timeless(&report));
        assert_eq!(same_weights, weights, "bit for bit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    dataset(&server, ROWS).await;
    for (extra, expected) in [
        (json!({ "rank": [4, 300] }), "`rank` is 300: give 1 to 256"),
        (json!({ "rank": [4, 4] }), "`rank` lists 4 twice"),
        (json!({ "rank": { "from": 4.5, "to": 8 } }), "`rank` is 4.5: give whole numbers"),
        (json!({ "rank": "many" }), "give a number, a list of numbers"),
        (json!({ "learning_rate": { "from": 1e-2, "to": 1e-3 } }), "the lesser one first"),
        (json!({ "learning_rate": [] }), "lists 0 values"),
        (json!({ "targets": ["all", "all"] }), "names one twice"),
        (json!({ "budget_minutes": 1, "budget_tokens": 1 }), "not both"),
        (json!({ "trials": 0 }), "`trials` is 0"),
        (json!({ "method": "magic" }), "magic"),
        (json!({ "dataset": "nothing@1" }), "nothing"),
    ] {
        let request = request("never", &extra);
        let error = server.client.post::<Value>("/api/v1/searches", &request).await.unwrap_err();
        match error {
            ClientError::Refused { status, message, .. } => {
                assert!((400..500).contains(&status) && message.contains(expected), "{message}");
            }
            other => panic!("not refused: {other}"),
        }
    }
    for (extra, expected) in [
        (json!({ "budget_tokens": 100 }), "the budget is 100 tokens, but one run takes"),
        (json!({ "budget_tokens": 100, "method": "tpe" }), "the budget is 100 tokens, but"),
        (json!({ "rank": 4, "learning_rate": 1e-3 }), "there is nothing to choose from"),
    ] {
        let job = search(&server, "never", &extra).await;
        assert_eq!(job["state"], "failed", "{extra}: {job}");
        assert_eq!(job["error"]["code"], "invalid_input", "{job}");
        let message = job["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}
