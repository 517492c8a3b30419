//! Damaged files are errors that name them, never other answers.

use super::sample::{clock, inference, open, project, record};
use pelton_trace_store::{MemoryCatalog, StoreOptions, TraceStore};
use std::path::Path;
use std::sync::Arc;

/// Flips a bit in the middle of the file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    for number in 0..50 {
        assert!(store.writer().record(record(number)));
    }
    store.writer().flush().await.unwrap();
    store.rotate_and_seal().await.unwrap();
    assert_eq!(store.verify().await.unwrap().len(), 0);
    let view = store.view();
    let (narrow, payload) = (view.parts[0].narrow(), view.parts[0].payload().unwrap());
    flip(&narrow);
    let error = view.parts[0].check().unwrap_err().to_string();
    let expected = format!(
        "the trace part {} cannot be read: its content is not what was sealed: the file is damaged; restore it from a backup, or drop the time it covers",
        narrow.display()
    );
    assert_eq!(error, expected);
    std::fs::remove_file(&payload).unwrap();
    let found = store.verify().await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[1].to_string().contains(&payload.display().to_string()), "{}", found[1]);
    flip(&narrow);
    let error = store.find(project(1), inference(3)).await.unwrap_err().to_string();
    assert!(error.contains(&payload.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    store.writer().record_durable(record(0)).await.unwrap();
    let path = store.view().segments[0].path().to_owned();
    store.shutdown().await;
    drop(store);
    std::fs::write(&path, b"this is no database, but it is long enough to look like one").unwrap();
    let catalog = Arc::new(MemoryCatalog::default());
    let opened = TraceStore::open(folder.path(), catalog, clock(), StoreOptions::default()).await;
    let error = opened.unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert!(error.contains("move it away"), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn what_a_crash_left_while_a_segment_was_made_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let hot = folder.path().join("hot");
    std::fs::create_dir_all(&hot).unwrap();
    std::fs::write(hot.join("00001767225600000000.db"), b"").unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    store.writer().record_durable(record(0)).await.unwrap();
    super::sample::assert_found(&store, 0..1).await;
}
