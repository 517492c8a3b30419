//! kill -9 of a writing process: every record that it acknowledged is there, once.

use super::sample::{clock, inference, project, record};
use pelton_trace_store::{SqliteCatalog, StoreOptions, TraceStore};
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

async fn open_from_disk(folder: &Path) -> Arc<TraceStore> {
    let catalog = Arc::new(SqliteCatalog::open(&folder.join("catalog.db")).await.unwrap());
    // Small segments, so that the kill often falls into sealing.
    let options = StoreOptions { seal_rows: 100, ..StoreOptions::default() };
    TraceStore::open(folder, catalog, clock(), options).await.unwrap()
}

/// The child: reads a folder and a first number, writes records until it is killed, and prints
/// the number of each that is acknowledged. Without input it has nothing to do.
#[tokio::test]
#[ignore = "run by survives_kill_9 in a process of its own"]
async fn write_until_killed() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let Some((folder, first)) = line.trim().split_once('\t') else { return };
    let store = open_from_disk(Path::new(folder)).await;
    let sealer = Arc::clone(&store);
    tokio::spawn(async move {
        loop {
            sealer.seal_due().await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let first: u64 = first.parse().unwrap();
    for batch in (first..).step_by(16) {
        let numbers: Vec<u64> = (batch..batch + 16).collect();
        let writes = numbers.iter().map(|number| {
            let writer = store.writer();
            async move { writer.record_durable(record(*number)).await }
        });
        for outcome in futures_util::future::join_all(writes).await {
            outcome.unwrap();
        }
        let mut out = std::io::stdout().lock();
        for number in numbers {
            writeln!(out, "ACK {number}").unwrap();
        }
        out.flush().unwrap();
    }
}

/// Starts the child and kills it after `acknowledged` records. Returns what it acknowledged.
fn run_and_kill(folder: &Path, first: u64, acknowledged: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it::kill::write_until_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}\t{first}", folder.display()).unwrap();
    let mut numbers = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while numbers.len() < acknowledged {
        let line = lines.next().expect("the child goes on until it is killed").unwrap();
        numbers.extend(line.strip_prefix("ACK ").map(|number| number.parse::<u64>().unwrap()));
    }
    child.kill().unwrap();
    // What was printed before the kill counts as well.
    for line in lines.map_while(Result::ok) {
        numbers.extend(line.strip_prefix("ACK ").and_then(|number| number.parse::<u64>().ok()));
    }
    child.wait().unwrap();
    numbers
}

#[tokio::test]
async fn survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let count = 150 + usize::try_from(round).unwrap() * 37;
        acknowledged.extend(run_and_kill(folder.path(), round * 1_000_000, count));

        let store = open_from_disk(folder.path()).await;
        let span = pelton_trace_store::Span { project: project(1), since: None, until: None };
        let ids: Vec<_> = acknowledged.iter().map(|number| inference(*number)).collect();
        let found = store.view().payloads(&span, &ids).await.unwrap();
        let distinct: HashSet<_> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(distinct.len(), found.len(), "a record is there twice");
        for number in &acknowledged {
            let there = distinct.contains(&inference(*number));
            assert!(there, "record {number} was acknowledged and is lost");
        }
        assert_eq!(store.verify().await.unwrap().len(), 0);
        store.shutdown().await;
    }
    let store = open_from_disk(folder.path()).await;
    assert!(!store.view().parts.is_empty(), "no kill fell after a sealing");
}
