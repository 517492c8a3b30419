//! The ways to train, each as a job from its request to the model that it publishes.

use crate::served::finished;
use crate::server::Server;
use pelton_client::{ClientError, escape};
use serde_json::{Value, json};

/// A dataset of this many rows, all of them for training.
pub async fn dataset(server: &Server, rows: u32) {
    let row = |number: u32| {
        let messages = json!([{ "role": "user", "content": format!("Say {number} twice.") }]);
        format!("{}\n", json!({ "messages": messages, "answer": format!("{number} {number}") }))
    };
    let rows: String = (0..rows).map(row).collect();
    let digest = server.client.upload(rows.into()).await.unwrap();
    let build = json!({
        "source": { "kind": "blob", "digest": digest },
        "split": { "train": 1.0, "validation": 0.0, "test": 0.0 },
    });
    let job: Value = server.client.post("/api/v1/datasets/twice/versions", &build).await.unwrap();
    assert_eq!(finished(server, &job).await["state"], "succeeded");
}

/// Runs a job and answers it with its log.
async fn run(server: &Server, request: Value) -> (Value, String) {
    let job: Value = server.client.post("/api/v1/finetunes", &request).await.unwrap();
    let job = finished(server, &job).await;
    let path = format!("/api/v1/jobs/{}/logs", job["id"].as_str().unwrap());
    let log: Value = server.client.get(&path).await.unwrap();
    (job, log.to_string())
}

async fn model(server: &Server, reference: &str) -> (Value, Vec<String>) {
    let path = format!("/api/v1/models/{}", escape(reference));
    let model: Value = server.client.get(&path).await.unwrap();
    let files = model["files"].as_array().unwrap().iter();
    let files = files.map(|file| file["path"].as_str().unwrap().to_owned()).collect();
    (model, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_train_publishes_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    dataset(&server, 24).await;
    let base = "pelton/pelton-tiny@1";

    // An adapter on an 8-bit base, with a teacher.
    let (job, log) = run(
        &server,
        json!({ "name": "small", "base": base, "dataset": "twice@1", "epochs": 2,
            "base_precision": "q8_0", "teacher": base, "rehearsal": 0.0 }),
    )
    .await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert!(log.contains("estimate: ") && log.contains("activations"), "{log}");
    let (small, files) = model(&server, "small@1").await;
    assert_eq!((&small["kind"], &small["base"]), (&json!("adapter"), &json!(base)));
    assert!(files.iter().any(|file| file == "adapter_model.safetensors"), "{files:?}");
    assert_eq!(small["lineage"]["teacher"], base);

    // All weights.
    let (job, _) = run(
        &server,
        json!({ "name": "whole", "base": base, "dataset": "twice@1", "epochs": 1,
            "method": "full", "rehearsal": 0.2 }),
    )
    .await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let (whole, files) = model(&server, "whole@1").await;
    assert_eq!((&whole["kind"], &whole["base"]), (&json!("base"), &Value::Null));
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        assert!(files.iter().any(|other| other == file), "{file} of {files:?}");
    }

    // Pairs, on the model just made; the adapter is merged.
    let pair = |number: u32| {
        let prompt = format!("Say {number} twice.");
        format!(
            "{}\n",
            json!({ "prompt": prompt, "chosen": format!("{number} {number}"), "rejected": "no" })
        )
    };
    let pairs: String = (0..20).map(pair).collect();
    let digest = server.client.upload(pairs.into()).await.unwrap();
    let (job, _) = run(
        &server,
        json!({ "name": "polite", "base": "whole@1", "preferences": digest, "merge": true,
            "epochs": 4, "learning_rate": 1e-3 }),
    )
    .await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let path = format!("/api/v1/jobs/{}/metrics", job["id"].as_str().unwrap());
    let metrics: Value = server.client.get(&path).await.unwrap();
    let steps = metrics["items"].as_array().unwrap();
    let last = &steps.last().unwrap()["values"];
    assert!(last["reward_margin"].as_f64().unwrap() > 0.0, "{last}");
    assert!(last["reward_accuracy"].as_f64().unwrap() > 0.5, "{last}");
    let first = steps[0]["values"]["loss"].as_f64().unwrap();
    assert!((first - 2.0_f64.ln()).abs() < 1e-3, "{first}");
    let (polite, files) = model(&server, "polite@1").await;
    assert_eq!(polite["kind"], "base");
    assert!(files.iter().any(|file| file == "model.safetensors"), "{files:?}");

    // What cannot be trained on is told with its line.
    let broken = "{\"prompt\":\"a\",\"chosen\":\"x\",\"rejected\":\"y\"}\n{\"prompt\":\"a\"}\n";
    let digest = server.client.upload(broken.into()).await.unwrap();
    let (job, _) =
        run(&server, json!({ "name": "broken", "base": base, "preferences": digest })).await;
    assert_eq!(job["state"], "failed", "{job}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 2: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    dataset(&server, 24).await;
    let base = "pelton/pelton-tiny@1";
    for (extra, expected) in [
        (json!({}), "either `dataset` or `preferences`"),
        (
            json!({ "dataset": "twice@1", "method": "full", "base_precision": "q8_0" }),
            "`base_precision` must be f32",
        ),
        (json!({ "dataset": "twice@1", "method": "full", "merge": true }), "for adapters"),
        (json!({ "dataset": "twice@1", "method": "magic" }), "magic"),
        (json!({ "dataset": "twice@1", "preference_beta": 0.0 }), "`preference_beta` is 0"),
    ] {
        let mut request = json!({ "name": "never", "base": base });
        for (key, value) in extra.as_object().unwrap() {
            request[key] = value.clone();
        }
        let error = server.client.post::<Value>("/api/v1/finetunes", &request).await.unwrap_err();
        match error {
            ClientError::Refused { status, message, .. } => {
                assert!((400..500).contains(&status) && message.contains(expected), "{message}");
            }
            other => panic!("not refused: {other}"),
        }
    }
}
