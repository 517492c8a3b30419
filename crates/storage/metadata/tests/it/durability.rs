//! What survives: reopening, kill -9 and a full disk.

use crate::bench::{Bench, base_model, kind_of};
use crate::populate::populate;
use pelton_context::{OpContext, SystemClock};
use pelton_metadata::{AuditFilter, JobFilter, Page, Store, StoreError};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Everything that the lists of a project show.
async fn dump(store: &Store, ctx: &OpContext) -> String {
    let page = &Page::first(100);
    let key_list = store.api_key_list(ctx).await.unwrap();
    let audit = store.audit_list(ctx, &AuditFilter::default(), page).await.unwrap();
    let dump = json!([
        store.project_get(ctx).await.unwrap(),
        key_list,
        audit,
        store.endpoint_list(ctx).await.unwrap(),
        store.endpoint_history(ctx, "desk", 9).await.unwrap(),
        store.release_list(ctx, page).await.unwrap(),
        store.rollout_list(ctx, None, page).await.unwrap(),
        store.gate_list(ctx, page).await.unwrap(),
        store.dataset_list(ctx, page).await.unwrap(),
        store.model_list(ctx, None, page).await.unwrap(),
        store.evaluation_list(ctx, page).await.unwrap(),
        store.job_list(ctx, &JobFilter::default(), page).await.unwrap(),
    ]);
    dump.to_string()
}

pub async fn what_was_written_is_there_after_reopening(bench: Bench) {
    populate(&bench).await;
    let before = dump(&bench.store, &bench.ctx).await;
    bench.store.close().await;
    let again = bench.reopened().await.unwrap();
    assert_eq!(dump(&again, &bench.ctx).await, before);
    assert_eq!(again.project_ensure("one").await.unwrap().id, bench.ctx.project);
    // A write goes on from there.
    again.model_create(&bench.ctx, base_model("m")).await.unwrap();
    assert_eq!(again.audit_verify(&bench.ctx).await.unwrap().broken, None);
    again.close().await;
}

pub async fn a_foreign_schema_is_refused(bench: Bench) {
    bench.meddle("UPDATE schema_migrations SET digest = 'x'").await;
    let altered = bench.reopened().await.unwrap_err();
    assert_eq!(
        altered.to_string(),
        "the metadata schema does not fit this version: migration 1 is not the one released"
    );
    bench.meddle("INSERT INTO schema_migrations VALUES (2, 'y', 0)").await;
    let newer = bench.reopened().await.unwrap_err();
    assert_eq!(
        newer.to_string(),
        "the metadata schema does not fit this version: it has 2 migrations and this version of \
         Pelton knows 1: install the newer version"
    );
}

const CHILD: &str = "PELTON_TEST_METADATA_CHILD";

/// A child process writes and says what was acknowledged; it is killed in the midst of it.
#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let mut acknowledged = 0;
    for round in 1..=3_i64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::what_was_acknowledged_survives_kill_9", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while acknowledged < round * 25 {
            let line = lines.next().unwrap().unwrap();
            // The harness writes lines of its own.
            if let Some((_, version)) = line.split_once("version ") {
                acknowledged = version.parse().unwrap();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had still said before it died was acknowledged too.
        for line in lines.map_while(Result::ok) {
            if let Some((_, version)) = line.split_once("version ") {
                acknowledged = version.parse().unwrap_or(acknowledged);
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open_sqlite(&path, Arc::new(SystemClock)).await.unwrap();
        let ctx = OpContext::system(store.project_ensure("p").await.unwrap().id);
        let newest = store.model_get(&ctx, "m").await.unwrap().version;
        // At most one write of each round was done but not yet said.
        assert!((acknowledged..=acknowledged + 1).contains(&newest), "{acknowledged} {newest}");
        let checked = store.audit_verify(&ctx).await.unwrap();
        assert_eq!((checked.entries, checked.broken), (newest + 1, None));
    });
}

fn write_until_killed(path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open_sqlite(path, Arc::new(SystemClock)).await.unwrap();
        let ctx = OpContext::system(store.project_ensure("p").await.unwrap().id);
        loop {
            let made = store.model_create(&ctx, base_model("m")).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "version {}", made.version).unwrap();
            out.flush().unwrap();
        }
    });
}

/// A small file system of its own, where this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_harms_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this needs the right to mount a small file system");
        return;
    };
    let folder = disk.0.path();
    let store = Store::open_sqlite(&folder.join("meta.db"), Arc::new(SystemClock)).await.unwrap();
    let ctx = OpContext::system(store.project_ensure("p").await.unwrap().id);
    store.setting_put(&ctx, "kept", &json!("before")).await.unwrap();
    let filler = folder.join("filler");
    let mut fill = std::fs::File::create(&filler).unwrap();
    while fill.write_all(&[0; 4_096]).is_ok() {}
    let big = json!("x".repeat(200_000));
    let full = store.setting_put(&ctx, "kept", &big).await.unwrap_err();
    assert!(matches!(full, StoreError::DiskFull), "{full:?}");
    assert_eq!(store.setting_get(&ctx, "kept").await.unwrap(), Some(json!("before")));
    drop(fill);
    std::fs::remove_file(&filler).unwrap();
    store.setting_put(&ctx, "kept", &big).await.unwrap();
    assert_eq!(store.setting_get(&ctx, "kept").await.unwrap(), Some(big));
    assert_eq!(store.audit_verify(&ctx).await.unwrap().broken, None);
    assert_eq!(kind_of(store.setting_remove(&ctx, "absent").await), "NotFound");
    store.close().await;
}
