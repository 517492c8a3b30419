//! The engine as a process: it says when it is ready, answers on its socket, and dies with its parent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use pelton_engine_server::{EngineOptions, serve};
use pelton_model::{BaseModel, DecoderConfig};
use pelton_tokens::{BYTE_VOCAB_SIZE, write_byte_tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "secret";

/// Not a test by itself: the others start this program again with only this one, in a model's folder.
#[tokio::test]
#[ignore = "the process that the other tests start"]
async fn engine_process() {
    let options = EngineOptions {
        served_name: "base".to_owned(),
        token: Some(TOKEN.to_owned()),
        ..EngineOptions::new(".")
    };
    serve(options).await.unwrap();
}

fn model_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let config = DecoderConfig::small(BYTE_VOCAB_SIZE, 64, 64, 2, 2, 1);
    BaseModel::initialize(config, 1).unwrap().save(folder.path()).unwrap();
    write_byte_tokenizer(folder.path()).unwrap();
    folder
}

fn start(folder: &Path) -> (Child, ChildStdin, Value) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["engine_process", "--exact", "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| {
        let line = line.unwrap();
        // The test harness may have begun the line.
        let start = line.find('{')?;
        serde_json::from_str(&line[start..]).ok()
    });
    // What comes later must not stop the child because nobody reads it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, stdin, ready.unwrap())
}

fn request(address: &str, head: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "{head} HTTP/1.1\r\nhost: engine\r\nauthorization: Bearer {TOKEN}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_process_serves_and_ends_when_its_standard_input_closes() {
    let folder = model_folder();
    let (mut child, stdin, ready) = start(folder.path());
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["model"], "base");
    let address = ready["addr"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"));

    assert!(request(address, "GET /healthz", "").ends_with("ok\n"));
    let body = json!({"model": "base", "max_tokens": 3, "ignore_eos": true,
                      "messages": [{"role": "user", "content": "Hi"}]});
    let answer = request(address, "POST /v1/chat/completions", &body.to_string());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"completion_tokens\":3"), "{answer}");

    // A stream that nobody reads to its end does not keep the process.
    let mut endless = TcpStream::connect(address).unwrap();
    let body = json!({"model": "base", "stream": true, "ignore_eos": true,
                      "messages": [{"role": "user", "content": "Hi"}]});
    let body = body.to_string();
    write!(
        endless,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut first = [0; 12];
    endless.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_folder_without_a_model_ends_the_process() {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["engine_process", "--exact", "--ignored", "--nocapture"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: the process must end because of the folder.
    let _stdin = child.stdin.take().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(errors.contains("tokenizer.json"), "{errors}");
}
