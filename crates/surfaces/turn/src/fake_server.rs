//! A server that answers as the API does, from memory: the turn's steps are tested on it from the
//! first question to the report. What it computes is made up; what is asked of it is checked.

use crate::telco::{NOT_FOUND, Split, item};
use pelton_client::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server knows.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) calls: u64,
    pub(crate) feedback: Vec<Value>,
    pub(crate) jobs: HashMap<String, Value>,
    pub(crate) fine_tunes: Vec<Value>,
    pub(crate) evaluations: Vec<Value>,
    pub(crate) uploaded: String,
    pub(crate) releases: Vec<Value>,
    pub(crate) traffic: Value,
    pub(crate) rollout: Value,
    /// Calls since the rollout began.
    pub(crate) since: u64,
    /// Whether the gate lets the candidate pass.
    pub(crate) gate_passes: bool,
    answers: HashMap<String, String>,
    polls: u64,
}

/// Starts one; its client and what it knows.
pub(crate) async fn start(gate_passes: bool) -> (String, Arc<Mutex<State>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = (0..400)
        .chain(1_000_000..1_002_000)
        .map(|i| item(Split::Traffic, 1, i))
        .map(|item| (item.prompt, item.answer))
        .collect();
    let state = Arc::new(Mutex::new(State { gate_passes, answers, ..State::default() }));
    let shared = Arc::clone(&state);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
    });
    assert_eq!(Client::new(&url, None).base(), url);
    (url, state)
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let (mut request, mut piece) = (Vec::new(), vec![0; 65_536]);
    let (head, body) = loop {
        let read = stream.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
            assert!(read > 0);
            continue;
        };
        let head = String::from_utf8(request[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)
            })
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if request.len() >= end + 4 + length {
            break (head, request[end + 4..].to_vec());
        }
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (status, answer) = answer(method, path, &body, &mut state.lock().unwrap());
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nx-pelton-inference-id: inf_1\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// The status and the body; a bare text is sent as it is.
fn answer(method: &str, path: &str, body: &[u8], state: &mut State) -> (u16, Value) {
    let path = path.split('?').next().unwrap();
    let sent: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    match (method, parts.as_slice()) {
        ("POST", ["", "v1", "chat", "completions"]) => (200, chat(&sent, state)),
        ("POST", ["feedback"]) => {
            state.feedback.push(sent);
            (201, json!({ "id": "fb_1" }))
        }
        ("PUT", ["blobs"]) => {
            state.uploaded = String::from_utf8(body.to_vec()).unwrap();
            (201, json!({ "digest": "sha256:00", "size": body.len() }))
        }
        ("GET", ["datasets", _]) => (404, json!({ "error": { "message": "no such dataset" } })),
        ("POST", ["datasets", name, "versions"]) => {
            let result = json!({ "dataset": format!("{name}@1") });
            (202, job(state, &sent, result))
        }
        ("GET", ["datasets", name, "versions", "1"]) => (200, version(name, state)),
        ("GET", ["datasets", _, "versions", "1", "download"]) => {
            let line =
                json!({ "messages": [{ "role": "user", "content": "q" }], "answer": NOT_FOUND });
            (200, format!("{line}\n{line}\n").into())
        }
        ("POST", ["finetunes"]) => {
            state.fine_tunes.push(sent.clone());
            let n = state.fine_tunes.len();
            #[expect(clippy::cast_precision_loss, reason = "a few")]
            let loss = 1.0 / n as f64;
            let name = sent["name"].as_str().unwrap();
            let result = json!({ "model": format!("{name}@{n}"), "best_val_loss": loss, "train_seconds": 6.0 });
            (202, job(state, &sent, result))
        }
        ("POST", ["evaluations"]) => {
            state.evaluations.push(sent.clone());
            let result =
                json!({ "evaluation_id": format!("eval_{}", state.evaluations.len() - 1) });
            (202, job(state, &sent, result))
        }
        ("GET", ["evaluations", "compare"]) => (
            200,
            json!({ "mcnemar": { "p_value": 1e-6 }, "difference": { "value": 0.3, "low": 0.2, "high": 0.4 } }),
        ),
        ("GET", ["evaluations", id]) => {
            let spec = &state.evaluations[id.trim_start_matches("eval_").parse::<usize>().unwrap()];
            let right = if spec["target"]["adapter"].is_string() { 0.9 } else { 0.6 };
            (
                200,
                json!({ "id": id, "n": 60, "unscored": 0,
                "exact_match": { "value": right, "low": right - 0.1, "high": right + 0.1 } }),
            )
        }
        ("GET", ["jobs", _, "metrics"]) => (
            200,
            json!({ "items": [{ "seq": 1, "step": 1, "values": { "loss": 2.0, "val_loss": 1.0 } }] }),
        ),
        ("GET", ["jobs", id]) => {
            // Every other look finds the job still running.
            state.polls += 1;
            let mut job = state.jobs[*id].clone();
            job["state"] =
                if state.polls.is_multiple_of(2) { "succeeded" } else { "running" }.into();
            (200, job)
        }
        ("POST", ["gates"]) => (
            201,
            json!({ "id": "gate_1", "passed": state.gate_passes, "rules": [
            { "name": "task_better", "passed": state.gate_passes, "detail": "as told" }] }),
        ),
        ("GET", ["releases"]) => (200, json!({ "items": [] })),
        ("POST", ["releases"]) => {
            state.releases.push(sent);
            (201, json!({ "id": format!("rel_{}", state.releases.len()) }))
        }
        ("GET", ["endpoints", _]) => (404, json!({ "error": { "message": "no such endpoint" } })),
        ("PUT", ["endpoints", _]) => {
            state.traffic = sent["traffic"].clone();
            (200, json!({}))
        }
        ("POST", ["rollouts"]) => {
            state.rollout = sent;
            state.since = 0;
            (201, json!({ "id": "rol_1", "state": "running" }))
        }
        ("GET", ["rollouts", "rol_1"]) => {
            let (rollout_state, stage, weight) = match state.since {
                0..90 => ("running", 0, 10),
                90..180 => ("running", 1, 50),
                _ => ("promoted", 1, 100),
            };
            (
                200,
                json!({ "id": "rol_1", "state": rollout_state, "stage": stage, "weight": weight, "decisions": [] }),
            )
        }
        other => (404, json!({ "error": { "message": format!("{other:?} is not of the API") } })),
    }
}

fn job(state: &mut State, spec: &Value, result: Value) -> Value {
    let id = format!("job_{}", state.jobs.len());
    let job = json!({ "id": id, "state": "queued", "spec": spec, "result": result,
        "progress": { "done": 1, "total": 2, "message": "half" } });
    state.jobs.insert(id, job.clone());
    job
}

fn version(name: &str, state: &State) -> Value {
    let count = |split: &str| {
        let lines = state.uploaded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["split"] == split).count()
    };
    let rows = if name == "telco" {
        json!({ "train": 86, "validation": 10, "test": 0 })
    } else {
        json!({ "train": count("train"), "validation": count("validation"), "test": count("test") })
    };
    json!({ "name": format!("{name}@1"), "rows": rows, "dropped": {} })
}

/// Every third answer is wrong.
fn chat(sent: &Value, state: &mut State) -> Value {
    state.calls += 1;
    state.since += 1;
    let prompt = sent["messages"][1]["content"].as_str().unwrap();
    let right = state.answers[prompt].clone();
    let text = if state.calls.is_multiple_of(3) {
        "I do not know".to_owned()
    } else {
        format!(" {right}")
    };
    json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] })
}
