//! What a server answers when all is well.

use crate::server::{Server, pause};
use serde_json::{Value, json};

#[tokio::test]
async fn the_built_in_model_answers_and_every_call_leaves_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    server.engine_ready().await;
    let ask = |content: &str| {
        json!({
            "model": "pelton-tiny",
            "max_tokens": 24,
            "temperature": 0,
            "messages": [{ "role": "user", "content": content }],
            "metadata": { "case": content },
        })
    };
    let first = server.client.chat(&ask("Repeat: wheel")).await.unwrap();
    let again = server.client.chat(&ask("Repeat: wheel")).await.unwrap();
    assert_eq!(first.text(), again.text(), "greedy decoding repeats itself");
    assert_eq!(first.release.as_deref(), Some("pelton-tiny-base-1"));
    assert!(first.body["usage"]["completion_tokens"].as_u64().unwrap() > 0);

    let ids: Vec<String> =
        [first, again].into_iter().map(|answer| answer.inference_id.unwrap()).collect();
    for id in &ids {
        let feedback = json!({ "inference_id": id, "score": 0, "correction": "wheel" });
        let given: Value = server.client.post("/api/v1/feedback", &feedback).await.unwrap();
        assert_eq!(given["inference_id"], json!(id));
    }
    let listed: Value = server.client.get("/api/v1/traces?has_correction=true").await.unwrap();
    let mut found: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    let mut expected: Vec<&str> = ids.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);

    let trace: Value = server.client.get(&format!("/api/v1/traces/{}", ids[0])).await.unwrap();
    assert_eq!(trace["status"], "ok");
    assert_eq!(trace["tags"]["case"], "Repeat: wheel");
    assert_eq!(trace["request"]["model"], "pelton-tiny");
    assert_eq!(trace["feedback_items"][0]["correction"], "wheel");
    assert!(trace["latency_ms"].as_f64().unwrap() > 0.0);

    let sums = json!({ "group_by": ["endpoint"], "aggregates": ["count", "score_mean"] });
    let sums: Value = server.client.post("/api/v1/traces/aggregate", &sums).await.unwrap();
    assert_eq!(sums["rows"][0]["values"], json!({ "count": 2.0, "score_mean": 0.0 }));
}

#[tokio::test]
async fn a_dataset_from_traffic_takes_corrections_and_names_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    server.engine_ready().await;
    for number in 0..6 {
        let content = format!("Repeat: word{number} and write to a{number}@example.com");
        let question = json!({
            "model": "pelton-tiny",
            "max_tokens": 4,
            "messages": [{ "role": "user", "content": content }],
        });
        let answer = server.client.chat(&question).await.unwrap();
        if number % 2 == 0 {
            let feedback = json!({
                "inference_id": answer.inference_id.unwrap(),
                "correction": format!("word{number}"),
            });
            let _: Value = server.client.post("/api/v1/feedback", &feedback).await.unwrap();
        }
    }
    let request = json!({
        "source": { "kind": "traces", "filter": { "endpoint": "pelton-tiny" } },
        "only_judged": true,
        "split": { "train": 1.0, "validation": 0.0, "test": 0.0 },
    });
    let job: Value = server.client.post("/api/v1/datasets/words/versions", &request).await.unwrap();
    let job = finished(&server, &job).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["result"]["dataset"], "words@1");
    let version: Value = server.client.get("/api/v1/datasets/words/versions/1").await.unwrap();
    assert_eq!(version["rows"], json!({ "train": 3, "validation": 0, "test": 0 }));
    assert_eq!(version["dropped"]["unjudged"], 3);
    assert_eq!(version["scrubbed"]["email"], 3);
    let rows: Value = server.client.get("/api/v1/datasets/words/versions/1/rows").await.unwrap();
    for row in rows["items"].as_array().unwrap() {
        let question = row["messages"][0]["content"].as_str().unwrap();
        assert!(question.contains("[EMAIL]") && !question.contains('@'), "{question}");
        assert!(row["answer"].as_str().unwrap().starts_with("word"));
        assert!(row["provenance"]["feedback_id"].as_str().unwrap().starts_with("fb_"));
    }
}

#[tokio::test]
async fn an_endpoint_rolls_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    server.engine_ready().await;
    let release = json!({ "name": "terse", "model": "pelton/pelton-tiny@1", "sampling": { "max_tokens": 1 } });
    let release: Value = server.client.post("/api/v1/releases", &release).await.unwrap();
    let traffic = json!({ "traffic": [{ "release_id": release["id"], "weight": 100 }] });
    let _: Value = server.client.put("/api/v1/endpoints/pelton-tiny", &traffic).await.unwrap();
    answered_by(&server, "terse").await;
    let empty = json!({});
    let back: Value =
        server.client.post("/api/v1/endpoints/pelton-tiny/rollback", &empty).await.unwrap();
    assert_eq!(back["traffic"][0]["release_name"], "pelton-tiny-base-1");
    answered_by(&server, "pelton-tiny-base-1").await;
    let audit: Value = server.client.get("/api/v1/audit").await.unwrap();
    assert_eq!(audit["items"][0]["action"], "endpoint.rollback");
}

/// Waits until an endpoint's calls are answered by `release`.
async fn answered_by(server: &Server, release: &str) {
    let question = json!({
        "model": "pelton-tiny",
        "max_tokens": 2,
        "messages": [{ "role": "user", "content": "Repeat: wheel" }],
    });
    for _ in 0..500 {
        let answer = server.client.chat(&question).await.unwrap();
        if answer.release.as_deref() == Some(release) {
            return;
        }
        pause().await;
    }
    panic!("{release} never answered");
}

/// Waits for a job's end.
pub async fn finished(server: &Server, job: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    for _ in 0..6_000 {
        let job: Value = server.client.get(&path).await.unwrap();
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        pause().await;
    }
    panic!("the job did not end");
}
