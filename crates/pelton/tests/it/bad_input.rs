//! Bad input gets a clear error and does no damage.

use crate::server::{PATIENCE, Server, pause};
use pelton_client::ClientError;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

/// Sends raw bytes and reads the answer until the server hangs up.
fn raw(server: &Server, request: &[u8]) -> String {
    let address = server.client.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    // The server may refuse and hang up before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn refused(error: &ClientError) -> (u16, &str, String) {
    match error {
        ClientError::Refused { status, code, message, .. } => (*status, code, message.clone()),
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_named_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["engine.enabled=false"]).await;

    let answer = raw(&server, &post("/v1/chat/completions", "{\"model\": \"m\", \"messages\": [}"));
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("line 1 column"), "{answer}");

    let answer = raw(&server, &post("/api/v1/feedback", "{"));
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_json"), "{answer}");

    // A hundred megabytes are announced; the server refuses before they are sent.
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
    let answer = raw(&server, head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let unknown = json!({ "model": "nobody", "messages": [{ "role": "user", "content": "?" }] });
    let error = server.client.chat(&unknown).await.unwrap_err();
    let (status, _, message) = refused(&error);
    assert_eq!(status, 404);
    assert!(message.contains("nobody"), "{message}");

    // Each of the three calls left its record, with what it sent, once the group is committed.
    let begun = Instant::now();
    let malformed: Value = loop {
        let found: Value = server.client.get("/api/v1/traces?status=error").await.unwrap();
        if found["items"].as_array().unwrap().len() >= 3 || begun.elapsed() > PATIENCE {
            break found;
        }
        pause().await;
    };
    let items = malformed["items"].as_array().unwrap();
    let codes: Vec<_> = items.iter().map(|item| item["error_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["model_not_found", "body_too_large", "invalid_request"]);
    let first = format!("/api/v1/traces/{}", items[2]["id"].as_str().unwrap());
    let first: Value = server.client.get(&first).await.unwrap();
    assert_eq!(first["request"], "{\"model\": \"m\", \"messages\": [}");

    let error = server.client.get::<Value>("/api/v1/traces/inf_nonsense").await.unwrap_err();
    assert_eq!(refused(&error).0, 400);
    let error = server.client.get::<Value>("/api/v1/nothing").await.unwrap_err();
    assert_eq!(refused(&error).0, 404);
    let missing = json!({ "inference_id": format!("inf_{:032}", 0), "score": 1 });
    let error = server.client.post::<Value>("/api/v1/feedback", &missing).await.unwrap_err();
    assert_eq!(refused(&error).0, 404);
    let out_of_range = json!({ "inference_id": format!("inf_{:032}", 0), "score": 7 });
    let error = server.client.post::<Value>("/api/v1/feedback", &out_of_range).await.unwrap_err();
    assert_eq!(refused(&error).2, "`score` lies from 0 to 1");

    let alive: Value = server.client.get("/readyz").await.unwrap();
    assert_eq!(alive["ready"], true);
}

#[tokio::test]
async fn broken_rows_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["engine.enabled=false"]).await;
    let rows = concat!(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"one\"}],\"answer\":\"1\"}\n",
        "not json\n",
        "{\"messages\":[],\"answer\":\"2\"}\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"three\"}]}\n",
    );
    let digest = server.client.upload(rows.into()).await.unwrap();
    let request = json!({
        "source": { "kind": "blob", "digest": digest },
        "split": { "train": 1.0, "validation": 0.0, "test": 0.0 },
    });
    let job: Value =
        server.client.post("/api/v1/datasets/broken/versions", &request).await.unwrap();
    let job = crate::served::finished(&server, &job).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let version: Value = server.client.get("/api/v1/datasets/broken/versions/1").await.unwrap();
    assert_eq!(version["rows"]["train"], 1);
    assert_eq!(version["dropped"]["invalid"], 3);
    let path = format!("/api/v1/jobs/{}/logs", job["id"].as_str().unwrap());
    let logs: Value = server.client.get(&path).await.unwrap();
    let text = logs.to_string();
    assert!(
        text.contains("line 2") && text.contains("line 3") && text.contains("line 4"),
        "{text}"
    );
}

#[tokio::test]
async fn a_broken_model_is_named_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("broken");
    std::fs::create_dir_all(&model).unwrap();
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pelton-tiny");
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(format!("{tiny}/{file}"), model.join(file)).unwrap();
    }
    std::fs::write(model.join("model.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\x7f{}").unwrap();
    let data = folder.path().join("data");
    let setting = format!("engine.model={}", model.display());
    let server = Server::start(&data, &[&setting]).await;
    let overview: Value = server.client.get("/api/v1/overview").await.unwrap();
    assert_eq!(overview["engine"]["state"], "starting");
    for _ in 0..1_000 {
        let log = std::fs::read_to_string(data.join("server.log")).unwrap();
        if log.contains("model.safetensors") {
            return;
        }
        crate::server::pause().await;
    }
    panic!("the log does not name the broken file");
}
