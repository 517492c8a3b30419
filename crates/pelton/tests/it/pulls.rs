//! `pelton model pull` and `engine.model=hf://…`: from a hub to answers, through kills and without a
//! terminal.

use crate::server::{PATIENCE, Server, pause};
use bytes::Bytes;
use pelton_client::Client;
use pelton_testkit::mock_hub::{COMMIT, Contents, Fault, MockHub};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The built-in model as a repository of a hub.
fn repository() -> Contents {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pelton-tiny"));
    let mut files: Vec<(String, Bytes)> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).unwrap();
            (entry.file_name().to_string_lossy().into_owned(), bytes.into())
        })
        .collect();
    files.push(("pytorch_model.bin".into(), Bytes::from_static(&[0; 4_096])));
    files.sort();
    Contents { files, large: 50_000, ..Contents::default() }
}

fn pull(hub: &MockHub, server: &str, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command
        .args(["model", "pull"])
        .args(arguments)
        .args(["--url", server])
        .env("HF_ENDPOINT", hub.endpoint())
        .env("PELTON_CACHE", cache)
        .env_remove("HF_TOKEN")
        .stdin(Stdio::null());
    command
}

/// Runs a command beside the hub that it asks.
async fn finish(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

async fn ask(client: &Client, endpoint: &str) -> String {
    let body = json!({ "model": endpoint, "max_tokens": 8, "temperature": 0,
        "messages": [{ "role": "user", "content": "Which bill is it?" }] });
    let begun = Instant::now();
    loop {
        match client.chat(&body).await {
            Ok(answer) => return answer.text().to_owned(),
            Err(error) if begun.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => pause().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_goes_on_and_the_model_is_registered_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]).await;
    let url = server.client.base().to_owned();
    let cache = folder.path().join("cache");
    let hub = MockHub::start(repository()).await.unwrap();

    let unasked = finish(pull(&hub, &url, &cache, &["hf://acme/base"])).await;
    let text = said(&unasked);
    assert_eq!(unasked.status.code(), Some(1), "{text}");
    assert!(text.contains("licence  apache-2.0") && text.contains(COMMIT), "{text}");
    assert!(text.contains("pytorch_model.bin: the same weights"), "{text}");
    assert!(text.contains("add --yes"), "{text}");
    assert!(hub.ranges().is_empty(), "nothing was downloaded");

    hub.plan([Fault::Hang(3_000_000), Fault::Hang(3_000_000)]);
    let mut child = pull(&hub, &url, &cache, &["hf://acme/base", "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    // Whole pieces of a mebibyte are on the disk.
    while bytes_in(&cache) < 2 << 20 {
        assert!(begun.elapsed() < PATIENCE, "nothing comes");
        pause().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = hub.ranges().len();

    let done = finish(pull(&hub, &url, &cache, &["hf://acme/base", "--yes", "--json"])).await;
    assert!(done.status.success(), "{}", said(&done));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let received = report["received_bytes"].as_u64().unwrap();
    assert!(received < 4_000_000, "{received}");
    assert!(hub.ranges()[before..].iter().any(|range| range.starts_with("bytes=")));
    assert_eq!(bytes_in(&cache), 0, "what is registered needs no download");
    let reference = report["model"]["ref"].as_str().unwrap();
    assert_eq!(reference, "acme/base@1");
    let model: Value = server.client.get("/api/v1/models/acme%2Fbase%401").await.unwrap();
    assert_eq!(model["license"], "apache-2.0");
    let source = &model["lineage"]["source"];
    assert_eq!(source["address"], "hf://acme/base");
    assert_eq!(source["commit"], COMMIT);
    assert_eq!(source["endpoint"], hub.endpoint());
    assert!(model["card"].as_str().unwrap().contains("pelton-tiny"));

    let asked = hub.ranges().len();
    let again = finish(pull(&hub, &url, &cache, &["hf://acme/base"])).await;
    assert!(said(&again).contains("registered already as acme/base@1"), "{}", said(&again));
    assert_eq!(hub.ranges().len(), asked);

    // A blob is also given from a place on; from beyond its end, the whole.
    let weights = repository().files.into_iter().find(|(path, _)| path == "model.safetensors");
    let (_, weights) = weights.unwrap();
    let files = model["files"].as_array().unwrap();
    let digest = files.iter().find(|file| file["path"] == "model.safetensors").unwrap();
    let digest = digest["digest"].as_str().unwrap();
    for (asked, given) in [(3_000_000, 3_000_000), (weights.len() as u64, 0)] {
        let mut rest = server.client.open_blob(digest, asked).await.unwrap();
        assert_eq!(rest.from(), given);
        let mut bytes = Vec::new();
        while let Some(piece) = rest.next().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        assert!(bytes == weights[usize::try_from(given).unwrap()..], "from {given}");
    }

    // The same bytes come out again.
    let out = folder.path().join("out");
    let written =
        pull(&hub, &url, &cache, &["acme/base@1", "--yes", "--to", out.to_str().unwrap()]);
    let written = finish(written).await;
    assert!(written.status.success(), "{}", said(&written));
    for (path, bytes) in repository().files {
        let wanted = !["pytorch_model.bin", "loss_curve.svg"].contains(&path.as_str());
        assert_eq!(std::fs::read(out.join(&path)).ok(), wanted.then(|| bytes.to_vec()), "{path}");
    }
    let full = pull(&hub, &url, &cache, &["acme/base@1", "--yes", "--to", out.to_str().unwrap()]);
    assert!(said(&finish(full).await).contains("is not empty"));
    // And a folder is registered as it is.
    let folder = finish(pull(&hub, &url, &cache, &[out.to_str().unwrap(), "--as", "mine"])).await;
    assert!(said(&folder).contains("registered as mine@1"), "{}", said(&folder));
    let folder = finish(pull(&hub, &url, &cache, &[out.to_str().unwrap(), "--as", "mine"])).await;
    assert!(said(&folder).contains("registered already, with the same files as mine@1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_downloads_its_base_once() {
    let folder = tempfile::tempdir().unwrap();
    let hub = MockHub::start(repository()).await.unwrap();
    let environment = [("HF_ENDPOINT", hub.endpoint())];
    let settings = ["engine.model=hf://acme/base@main"];
    let mut server = Server::start_with(folder.path(), &settings, &environment).await;
    server.engine_ready().await;
    let answer = ask(&server.client, "base").await;
    assert!(!answer.is_empty());
    let model: Value = server.client.get("/api/v1/models/acme%2Fbase").await.unwrap();
    assert_eq!(model["lineage"]["source"]["commit"], COMMIT);
    assert_eq!(bytes_in(&folder.path().join("downloads")), 0);
    drop(hub);
    server.kill();
    server.restart().await;
    server.engine_ready().await;
    assert_eq!(ask(&server.client, "base").await, answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_serves_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let hub = MockHub::start(repository()).await.unwrap();
    let mut engine = Command::new(env!("CARGO_BIN_EXE_pelton"))
        .args(["engine", "serve", "--model", "hf://acme/base", "--name", "base", "--cache"])
        .arg(folder.path())
        .env("HF_ENDPOINT", hub.endpoint())
        .env("PELTON_ENGINE_TOKEN", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = engine.stdout.take().unwrap();
    let line = tokio::task::spawn_blocking(move || BufReader::new(out).lines().next());
    let line = line.await.unwrap().expect("the engine is ready").unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", ready["addr"].as_str().unwrap());
    let client = Client::new(&url, Some("secret".into()));
    assert!(!ask(&client, "base").await.is_empty());
    drop(engine.stdin.take());
    engine.wait().unwrap();
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
