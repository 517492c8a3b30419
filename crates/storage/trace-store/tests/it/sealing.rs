//! A crash at any step of sealing loses nothing and doubles nothing.

use super::sample::{assert_found, feedback, inference, open, project, record};
use pelton_trace_store::{
    CatalogError, Faults, MemoryCatalog, Part, PartCatalog, SqliteCatalog, Step, StoreOptions,
    TraceStore,
};
use std::io::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn files(folder: &Path) -> Vec<String> {
    let names = |sub: &str| {
        let entries = std::fs::read_dir(folder.join(sub)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut all = [names("hot"), names("parts")].concat();
    all.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    all.sort();
    all
}

#[tokio::test]
async fn a_crash_at_any_step_is_recovered_from() {
    for step in Step::SEALING {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(MemoryCatalog::default());
        let faults =
            Faults::when(move |at| if at == step { Err(Error::other("crash")) } else { Ok(()) });
        let options = StoreOptions { faults, ..StoreOptions::default() };
        let store = open(folder.path(), &catalog, options).await;
        let writer = store.writer();
        for number in 0..25 {
            assert!(writer.record(record(number)));
        }
        writer.feedback_durable(feedback(30, 4)).await.unwrap();
        assert!(store.rotate_and_seal().await.is_err(), "{step:?}");
        let drafts = files(folder.path()).iter().filter(|name| name.ends_with(".tmp")).count();
        assert_eq!(drafts, 0, "{step:?}");
        assert_found(&store, 0..25).await;
        drop((writer, store));

        let store = open(folder.path(), &catalog, StoreOptions::default()).await;
        assert_found(&store, 0..25).await;
        let writer = store.writer();
        for number in 25..30 {
            writer.record_durable(record(number)).await.unwrap();
        }
        store.rotate_and_seal().await.unwrap();
        assert_found(&store, 0..30).await;
        let found = store.find(project(1), inference(4)).await.unwrap().unwrap();
        assert_eq!(found.feedback, [feedback(30, 4)], "{step:?}");
        assert_eq!(store.view().segments.len(), 0);
        let leftovers = files(folder.path());
        assert!(!leftovers.iter().any(|name| name.ends_with(".tmp")), "{step:?}: {leftovers:?}");
        assert!(!leftovers.iter().any(|name| name.ends_with(".db")), "{step:?}: {leftovers:?}");
    }
}

/// Does what it is asked, but says that it failed.
struct Doubtful(MemoryCatalog, AtomicBool);

#[async_trait::async_trait]
impl PartCatalog for Doubtful {
    async fn commit(&self, part: &Part) -> Result<(), CatalogError> {
        self.0.commit(part).await?;
        if self.1.swap(false, Ordering::SeqCst) {
            return Err(CatalogError("the connection was cut".into()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Part>, CatalogError> {
        self.0.list().await
    }

    async fn sealed_segments(&self) -> Result<Vec<String>, CatalogError> {
        self.0.sealed_segments().await
    }

    async fn remove(&self, part_ids: &[String]) -> Result<(), CatalogError> {
        self.0.remove(part_ids).await
    }
}

#[tokio::test]
async fn a_commit_that_only_seemed_to_fail_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Doubtful(MemoryCatalog::default(), AtomicBool::new(true)));
    let clock = super::sample::clock();
    let options = StoreOptions::default();
    let store = TraceStore::open(folder.path(), catalog, clock, options).await.unwrap();
    for number in 0..5 {
        store.writer().record_durable(record(number)).await.unwrap();
    }
    assert!(store.rotate_and_seal().await.is_err());
    assert_found(&store, 0..5).await;
    assert_eq!(store.seal_due().await.unwrap().sealed, 1);
    assert_found(&store, 0..5).await;
    assert_eq!(store.verify().await.unwrap().len(), 0);
}

#[tokio::test]
async fn readers_see_each_record_once_while_it_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { seal_rows: 20, ..StoreOptions::default() };
    let store = open(folder.path(), &<_>::default(), options).await;
    let writer = store.writer();
    for round in 0..10 {
        for number in round * 20..round * 20 + 20 {
            assert!(writer.record(record(number)));
        }
        writer.flush().await.unwrap();
        let (sealed, ()) = tokio::join!(store.seal_due(), assert_found(&store, 0..round * 20 + 20));
        sealed.unwrap();
    }
}

#[tokio::test]
async fn the_sqlite_catalog_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    for round in 0..3 {
        let catalog = Arc::new(SqliteCatalog::open(&file).await.unwrap());
        let clock = super::sample::clock();
        let options = StoreOptions::default();
        let store = TraceStore::open(folder.path(), catalog, clock, options).await.unwrap();
        assert_found(&store, 0..round * 4).await;
        for number in round * 4..round * 4 + 4 {
            store.writer().record_durable(record(number)).await.unwrap();
        }
        store.rotate_and_seal().await.unwrap();
        if round == 2 {
            store.drop_before(record(4).summary.started_at).await.unwrap();
            assert_found(&store, 4..12).await;
        }
        store.shutdown().await;
    }
}

#[tokio::test]
async fn small_segments_are_sealed_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let clock = super::sample::clock();
    let catalog = Arc::new(MemoryCatalog::default());
    let options = StoreOptions::default();
    let store = TraceStore::open(folder.path(), catalog, clock.clone(), options).await.unwrap();
    store.writer().record_durable(record(0)).await.unwrap();
    assert_eq!(store.seal_due().await.unwrap().sealed, 0);
    clock.advance(6 * 3_600 * 1_000_000);
    assert_eq!(store.seal_due().await.unwrap().sealed, 1);
    assert_found(&store, 0..1).await;
}
