//! The writer: ids count once, full queues refuse, failing disks are reported and outlived.

use super::sample::{assert_found, open, record};
use pelton_trace_store::{
    Faults, MAX_RECORD_BYTES, Step, StoreOptions, WriteError, WriterCounters,
};
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn a_known_id_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    for _ in 0..3 {
        let mut other = record(7);
        store.writer().record_durable(record(7)).await.unwrap();
        other.summary.endpoint = "other".into();
        store.writer().record_durable(other).await.unwrap();
    }
    assert_found(&store, 7..8).await;
}

#[tokio::test]
async fn rotates_by_rows_and_seals_what_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { seal_rows: 10, group_rows: 5, ..StoreOptions::default() };
    let store = open(folder.path(), &<_>::default(), options).await;
    let writer = store.writer();
    for number in 0..35 {
        assert!(writer.record(record(number)));
    }
    writer.flush().await.unwrap();
    assert_eq!(store.view().segments.len(), 4);
    let report = store.seal_due().await.unwrap();
    assert_eq!((report.sealed, report.left), (3, 0));
    assert_eq!((store.view().segments.len(), store.view().parts.len()), (1, 3));
    assert_found(&store, 0..35).await;
    assert_eq!(store.seal_due().await.unwrap().sealed, 0);
}

/// A disk that is full while the switch is on.
fn full_disk() -> (Arc<AtomicBool>, StoreOptions) {
    let full = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&full);
    let faults = Faults::when(move |step| {
        let fails = step == Step::Commit && switch.load(Ordering::SeqCst);
        if fails { Err(Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
    });
    (full, StoreOptions { faults, ..StoreOptions::default() })
}

#[tokio::test]
async fn a_full_disk_is_reported_read_through_and_outlived() {
    let folder = tempfile::tempdir().unwrap();
    let (full, options) = full_disk();
    let store = open(folder.path(), &<_>::default(), options).await;
    let writer = store.writer();
    for number in 0..5 {
        writer.record_durable(record(number)).await.unwrap();
    }
    full.store(true, Ordering::SeqCst);
    assert_eq!(writer.record_durable(record(90)).await, Err(WriteError::DiskFull));
    assert!(writer.record(record(5)));
    assert_eq!(writer.flush().await, Err(WriteError::DiskFull));
    assert_found(&store, 0..5).await;

    full.store(false, Ordering::SeqCst);
    writer.flush().await.unwrap();
    // What was queued is there; what was refused is not.
    assert_found(&store, 0..6).await;
    let WriterCounters { queued, committed, dropped, failed_commits } = writer.counters();
    assert_eq!((queued, committed, dropped), (7, 6, 0));
    assert!(failed_commits >= 2);
}

#[tokio::test]
async fn a_full_queue_refuses_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (full, options) = full_disk();
    let options = StoreOptions { queue_bytes: MAX_RECORD_BYTES, ..options };
    let store = open(folder.path(), &<_>::default(), options).await;
    let writer = store.writer();
    full.store(true, Ordering::SeqCst);
    let large = |number| {
        let mut record = record(number);
        record.payload.response = Some(vec![0; MAX_RECORD_BYTES / 2 + 1]);
        record
    };
    assert!(writer.record(large(0)));
    assert!(!writer.record(large(1)));
    assert_eq!(writer.counters().dropped, 1);
    assert_eq!(writer.flush().await, Err(WriteError::DiskFull));
    let refused = writer.record_durable(large(2)).await;
    assert!(matches!(refused, Err(WriteError::Failed(_))), "{refused:?}");

    let mut huge = record(3);
    huge.payload.request = vec![0; MAX_RECORD_BYTES];
    let refused = writer.record_durable(huge).await;
    assert!(matches!(refused, Err(WriteError::TooLarge { .. })), "{refused:?}");
    full.store(false, Ordering::SeqCst);
    writer.flush().await.unwrap();
    assert!(writer.record(large(4)));
}

#[tokio::test]
async fn shutting_down_writes_what_is_queued_and_refuses_more() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = <_>::default();
    let store = open(folder.path(), &catalog, StoreOptions::default()).await;
    let writer = store.writer();
    for number in 0..500 {
        assert!(writer.record(record(number)));
    }
    store.shutdown().await;
    assert!(!writer.record(record(500)));
    assert_eq!(writer.record_durable(record(500)).await, Err(WriteError::Closed));
    drop(store);
    let store = open(folder.path(), &catalog, StoreOptions::default()).await;
    assert_found(&store, 0..500).await;
}
