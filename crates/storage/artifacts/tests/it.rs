//! Blobs on a real disk: damage, full disks, concurrent writers and collectors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use pelton_artifacts::{
    ArtifactError, Artifacts, Manifest, ManifestFile, ReferenceSource, Stored, Way,
};
use pelton_ids::{Digest, Micros};
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// References that a test sets by hand.
#[derive(Default, Clone)]
struct References(Arc<Mutex<BTreeSet<Digest>>>);

#[async_trait]
impl ReferenceSource for References {
    async fn referenced(&self) -> Result<BTreeSet<Digest>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

impl References {
    fn add(&self, digest: Digest) {
        self.0.lock().unwrap().insert(digest);
    }
}

/// A time after which everything is old.
const LATER: Micros = Micros(i64::MAX / 2);

fn open() -> (tempfile::TempDir, Artifacts) {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(folder.path()).unwrap();
    (folder, artifacts)
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn tamper(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn gives_back_what_was_stored() {
    let (folder, artifacts) = open();
    let pieces: Vec<Bytes> = (0..200_u8).map(|byte| Bytes::from(vec![byte; 10_001])).collect();
    let whole = pieces.concat();
    let content = stream::iter(pieces.into_iter().map(Ok));
    let stored = artifacts.put(content, Some(Digest::of(&whole)), None).await.unwrap();
    assert_eq!((stored.digest, stored.size), (Digest::of(&whole), whole.len() as u64));
    let read: Vec<Bytes> = artifacts.get(stored.digest).await.unwrap().try_collect().await.unwrap();
    assert!(read.concat() == whole);
    assert_eq!(artifacts.size(stored.digest).await.unwrap(), Some(whole.len() as u64));
    let empty = artifacts.put_bytes("").await.unwrap();
    assert_eq!(artifacts.read(empty.digest, 0).await.unwrap(), "");
    let absent = Digest::of(b"absent");
    assert_eq!(artifacts.size(absent).await.unwrap(), None);
    assert!(matches!(artifacts.get(absent).await, Err(ArtifactError::NotFound(_))));
    assert!(matches!(
        artifacts.read(stored.digest, 5).await,
        Err(ArtifactError::TooLarge { limit: 5 })
    ));
    assert_eq!(files(&folder.path().join("incoming")), 0);
}

#[tokio::test]
async fn a_failed_upload_leaves_nothing() {
    let (folder, artifacts) = open();
    let declared = Some(Digest::of(b"something else"));
    let mismatch = artifacts.put(stream::iter([Ok("abc".into())]), declared, None).await;
    assert!(matches!(mismatch, Err(ArtifactError::Mismatch { .. })));
    let pieces = [Ok(Bytes::from("abc")), Ok(Bytes::from("d"))];
    let large = artifacts.put(stream::iter(pieces), None, Some(3)).await;
    assert!(matches!(large, Err(ArtifactError::TooLarge { limit: 3 })));
    let cut = [Ok(Bytes::from("abc")), Err(io::Error::other("the sender went away"))];
    let cut = artifacts.put(stream::iter(cut), None, None).await;
    assert!(matches!(cut, Err(ArtifactError::Upload(_))));
    // A caller that goes away drops the upload.
    let endless = stream::repeat_with(|| Ok(Bytes::from("x")));
    let gave_up =
        tokio::time::timeout(Duration::from_millis(5), artifacts.put(endless, None, None));
    assert!(gave_up.await.is_err());
    // Its last write may still be under way.
    while files(&folder.path().join("incoming")) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(files(&folder.path().join("blobs")), 0);
}

#[tokio::test]
async fn damage_is_seen_and_healed_by_storing_again() {
    let (_folder, artifacts) = open();
    let whole = vec![7; 100_000];
    let stored = artifacts.put_bytes(whole.clone()).await.unwrap();
    let mut damaged = whole.clone();
    damaged[99_999] = 8;
    for damage in [damaged.as_slice(), &whole[..99_999], b""] {
        tamper(&artifacts.path(stored.digest), damage);
        let read = artifacts.read(stored.digest, 1 << 20).await;
        assert!(matches!(read, Err(ArtifactError::Damaged { .. })), "{}", damage.len());
        let given: Result<Vec<Bytes>, _> =
            artifacts.get(stored.digest).await.unwrap().try_collect().await;
        assert!(given.is_err());
    }
    artifacts.put_bytes(whole).await.unwrap();
    artifacts.verify(stored.digest).await.unwrap();
}

#[tokio::test]
async fn folders_go_in_and_come_out() {
    let (folder, artifacts) = open();
    let model = folder.path().join("model");
    std::fs::create_dir_all(model.join("sub")).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    std::fs::write(model.join("sub/weights"), vec![1; 50_000]).unwrap();
    let metadata = serde_json::json!({ "name": "m" });
    let (manifest, stored, _pins) =
        artifacts.manifest_put_folder(&model, "model", metadata).await.unwrap();
    assert_eq!(manifest.size(), 50_002);
    assert_eq!(artifacts.manifest_get(stored.digest).await.unwrap(), manifest);
    let serving = folder.path().join("serving");
    let laid = artifacts.materialize(stored.digest, &serving).await.unwrap();
    let paths: Vec<&str> = laid.ways.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["config.json", "sub/weights"]);
    // On one file system nothing is copied.
    assert!(laid.ways.iter().all(|(_, way)| *way != Way::Copy));
    assert_eq!(std::fs::read(laid.folder.join("sub/weights")).unwrap(), vec![1; 50_000]);
    let again = artifacts.materialize(stored.digest, &serving).await.unwrap();
    assert_eq!((again.folder, again.ways.len()), (laid.folder, 0));
    assert_eq!(files(&serving), 1);
}

#[tokio::test]
async fn a_damaged_file_is_not_served() {
    let (folder, artifacts) = open();
    let file = artifacts.put_bytes("weights").await.unwrap();
    let entry = ManifestFile { path: "w".into(), digest: file.digest, size: 7 };
    let manifest = Manifest::new("model", vec![entry], serde_json::Value::Null).unwrap();
    let stored = artifacts.manifest_put(&manifest).await.unwrap();
    tamper(&artifacts.path(file.digest), b"weightz");
    let serving = folder.path().join("serving");
    let refused = artifacts.materialize(stored.digest, &serving).await;
    assert!(matches!(refused, Err(ArtifactError::Damaged { .. })));
    assert!(!serving.exists());
}

#[tokio::test]
async fn a_manifest_needs_its_files() {
    let (_folder, artifacts) = open();
    let file = artifacts.put_bytes("abc").await.unwrap();
    let entry = |digest, size| ManifestFile { path: "f".into(), digest, size };
    let of = |file| Manifest::new("model", vec![file], serde_json::Value::Null).unwrap();
    let absent = artifacts.manifest_put(&of(entry(Digest::of(b"absent"), 3))).await;
    assert!(matches!(absent, Err(ArtifactError::NotFound(_))));
    let wrong = artifacts.manifest_put(&of(entry(file.digest, 4))).await.unwrap_err();
    assert_eq!(wrong.to_string(), "the manifest is not valid: `f` has 3 bytes and not 4");
}

#[tokio::test]
async fn collection_keeps_what_is_needed_pinned_or_young() {
    let (_folder, artifacts) = open();
    let references = References::default();
    let put = async |text: &'static str| artifacts.put_bytes(text).await.unwrap();
    let (needed, garbage, pinned) =
        (put("needed").await, put("garbage").await, put("pinned").await);
    references.add(needed.digest);
    // A referenced manifest needs its files, though nobody names them.
    let part = put("part").await;
    let entry = ManifestFile { path: "p".into(), digest: part.digest, size: 4 };
    let manifest = Manifest::new("model", vec![entry], serde_json::Value::Null).unwrap();
    let manifest = artifacts.manifest_put(&manifest).await.unwrap();
    references.add(manifest.digest);
    // Their pins go here.
    let (garbage, part) = (unpin(garbage), unpin(part));
    // Young: everything stays.
    let young = artifacts.collect_garbage(&references, Micros(0), Duration::ZERO).await.unwrap();
    assert_eq!((young.kept, young.removed), (5, 0));
    let report = artifacts.collect_garbage(&references, LATER, Duration::ZERO).await.unwrap();
    assert_eq!((report.kept, report.removed, report.removed_bytes), (4, 1, 7));
    assert!(artifacts.pin(garbage).is_err());
    for kept in [needed.digest, pinned.digest, part, manifest.digest] {
        artifacts.verify(kept).await.unwrap();
    }
    let released = pinned.digest;
    drop(pinned);
    artifacts.collect_garbage(&references, LATER, Duration::ZERO).await.unwrap();
    assert!(artifacts.pin(released).is_err());
}

fn unpin(stored: Stored) -> Digest {
    stored.digest
}

/// Cannot tell what is needed.
struct Unreachable;

#[async_trait]
impl ReferenceSource for Unreachable {
    async fn referenced(&self) -> Result<BTreeSet<Digest>, Box<dyn Error + Send + Sync>> {
        Err("the database is down".into())
    }
}

#[tokio::test]
async fn collection_removes_nothing_when_references_are_unknown() {
    let (_folder, artifacts) = open();
    let digest = artifacts.put_bytes("x").await.unwrap().digest;
    let failed = artifacts.collect_garbage(&Unreachable, LATER, Duration::ZERO).await;
    assert!(matches!(failed, Err(ArtifactError::References(_))));
    artifacts.verify(digest).await.unwrap();
}

#[tokio::test]
async fn leftovers_of_dead_writers_go() {
    let (folder, artifacts) = open();
    let leftover = folder.path().join("incoming/0123");
    std::fs::write(&leftover, "half").unwrap();
    let report = artifacts.collect_garbage(&References::default(), LATER, Duration::ZERO).await;
    assert_eq!(report.unwrap().removed_incoming, 1);
    assert!(!leftover.exists());
}

/// Writers store, refer to and forget a few blobs each, over and over, while a collector runs
/// without any grace: whatever is referred to must be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_and_collectors() {
    let (_folder, artifacts) = open();
    let references = References::default();
    let writer = |seed: usize| {
        let (artifacts, references) = (artifacts.clone(), references.clone());
        tokio::spawn(async move {
            for round in 0..40 {
                let text = format!("blob {seed} {}", round % 3);
                let stored = artifacts.put_bytes(text).await.unwrap();
                tokio::task::yield_now().await;
                references.add(stored.digest);
                drop(stored.pin);
                tokio::task::yield_now().await;
                artifacts.verify(stored.digest).await.unwrap();
                if round % 4 != 0 {
                    references.0.lock().unwrap().remove(&stored.digest);
                }
            }
        })
    };
    let writers: Vec<_> = (0..6).map(writer).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let collector = {
        let (artifacts, references, stop) = (artifacts.clone(), references.clone(), stop.clone());
        tokio::spawn(async move {
            let mut removed = 0;
            while !stop.load(Ordering::Acquire) {
                let report = artifacts.collect_garbage(&references, LATER, Duration::ZERO).await;
                removed += report.unwrap().removed;
                tokio::task::yield_now().await;
            }
            removed
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::Release);
    let removed_meanwhile = collector.await.unwrap();
    let last = artifacts.collect_garbage(&references, LATER, Duration::ZERO).await.unwrap();
    assert!(removed_meanwhile + last.removed > 0);
    assert_eq!(last.kept, references.0.lock().unwrap().len() as u64);
    let kept = references.0.lock().unwrap().clone();
    for digest in kept {
        artifacts.verify(digest).await.unwrap();
    }
}

/// A limit on file sizes stands in for a full disk: writes fail in the same place.
#[test]
fn a_full_disk_is_named_and_harms_nothing() {
    if std::env::var_os("PELTON_TEST_FULL_DISK").is_some() {
        return on_full_disk();
    }
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact a_full_disk_is_named_and_harms_nothing --nocapture";
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("PELTON_TEST_FULL_DISK", "1")
        .status();
    assert!(status.unwrap().success());
}

#[tokio::main(flavor = "current_thread")]
async fn on_full_disk() {
    let (folder, artifacts) = open();
    let small = artifacts.put_bytes("small").await.unwrap();
    let full = artifacts.put_bytes(vec![0; 1 << 20]).await.unwrap_err();
    assert!(full.to_string().contains("is full: free some space"), "{full}");
    assert_eq!(files(&folder.path().join("incoming")), 0);
    artifacts.verify(small.digest).await.unwrap();
    artifacts.put_bytes("still works").await.unwrap();
}
