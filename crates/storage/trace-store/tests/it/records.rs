//! What is stored is found again, hot and sealed, and by its own project alone.

use super::sample::{assert_found, feedback, inference, open, project, record};
use pelton_trace_store::{StoreOptions, latest_correction};

#[tokio::test]
async fn finds_hot_and_sealed_records_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    let writer = store.writer();
    for number in 0..40 {
        assert!(writer.record(record(number)));
    }
    writer.flush().await.unwrap();
    assert_found(&store, 0..40).await;

    assert_eq!(store.rotate_and_seal().await.unwrap().sealed, 1);
    for number in 40..50 {
        writer.record_durable(record(number)).await.unwrap();
    }
    assert_eq!((store.view().segments.len(), store.view().parts.len()), (1, 1));
    assert_found(&store, 0..50).await;
    assert_eq!(store.find(project(2), inference(3)).await.unwrap(), None);
    assert_eq!(store.find(project(2), inference(43)).await.unwrap(), None);
    assert_eq!(store.find(project(1), inference(99)).await.unwrap(), None);
    store.shutdown().await;
}

#[tokio::test]
async fn joins_feedback_that_comes_late_and_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    let writer = store.writer();
    writer.record_durable(record(1)).await.unwrap();
    writer.feedback_durable(feedback(10, 1)).await.unwrap();
    store.rotate_and_seal().await.unwrap();
    writer.feedback_durable(feedback(12, 1)).await.unwrap();
    writer.feedback_durable(feedback(10, 1)).await.unwrap();
    store.rotate_and_seal().await.unwrap();
    writer.feedback_durable(feedback(11, 1)).await.unwrap();

    let found = store.find(project(1), inference(1)).await.unwrap().unwrap().feedback;
    assert_eq!(found, [feedback(10, 1), feedback(11, 1), feedback(12, 1)]);
    assert_eq!(latest_correction(&found), Some(&feedback(12, 1)));
    let since = store.view().feedback_since(project(1), Some(feedback(11, 1).at)).await.unwrap();
    assert_eq!(since, [feedback(11, 1), feedback(12, 1)]);
    assert_eq!(store.view().feedback_since(project(2), None).await.unwrap(), []);
}

#[tokio::test]
async fn drops_parts_that_are_wholly_older_and_removes_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = <_>::default();
    let store = open(folder.path(), &catalog, StoreOptions::default()).await;
    let writer = store.writer();
    for number in 0..30 {
        writer.record_durable(record(number)).await.unwrap();
        if number % 10 == 9 {
            store.rotate_and_seal().await.unwrap();
        }
    }
    let held = store.view();
    assert_eq!(store.drop_before(record(15).summary.started_at).await.unwrap(), 1);
    assert_eq!(store.find(project(1), inference(5)).await.unwrap(), None);
    assert!(store.find(project(1), inference(15)).await.unwrap().is_some());
    // A query that began before still reads the dropped part.
    assert!(held.parts[0].narrow().exists());
    let dropped = held.parts[0].narrow();
    drop(held);
    assert!(!dropped.exists());
    store.shutdown().await;
    drop(store);

    let store = open(folder.path(), &catalog, StoreOptions::default()).await;
    assert_found(&store, 10..30).await;
}
