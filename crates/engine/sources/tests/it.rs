//! Downloads from a hub that breaks in every way that networks do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use futures_util::FutureExt as _;
use pelton_egress::{Egress, EgressError, EgressSettings};
use pelton_secrets::Redacted;
use pelton_sources::{
    Bucket, BucketSettings, Download, Fetched, Hub, HubSettings, Integrity, Listing, Patterns,
    RemoteFile, Result, Retry, Source, SourceError, WORK_FOLDER, fetch, select_files,
};
use pelton_testkit::mock_hub::{COMMIT, Contents, Fault, MockHub};
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const LARGE: usize = 300_000;

fn weights() -> Bytes {
    (0..LARGE).map(|at| (at * at % 251) as u8).collect()
}

fn contents() -> Contents {
    Contents {
        files: vec![
            ("README.md".into(), Bytes::from_static(b"---\nlicense: apache-2.0\n---\n# Base\n")),
            ("config.json".into(), Bytes::from_static(b"{}")),
            ("empty.json".into(), Bytes::new()),
            ("model.safetensors".into(), weights()),
            ("pytorch_model.bin".into(), weights()),
            ("tokenizer.json".into(), Bytes::from_static(b"{\"a\":1}")),
        ],
        ..Contents::default()
    }
}

fn egress() -> Arc<Egress> {
    Arc::new(Egress::new(EgressSettings::default()))
}

fn hub(endpoint: String, token: Option<&str>, revision: Option<&str>) -> Hub {
    let token = token.map(|token| Redacted::new(token.to_owned()));
    let settings = HubSettings { endpoint: Some(endpoint), token };
    Hub::new(egress(), settings, "acme/base", revision.map(str::to_owned)).unwrap()
}

fn wanted(listing: &Listing) -> Vec<RemoteFile> {
    select_files(&listing.files, &Patterns::default()).files
}

/// Downloads, and checks that the progress told comes to what is there.
async fn download(source: &dyn Source, files: &[RemoteFile], folder: &Path) -> Result<Fetched> {
    let told = AtomicI64::new(0);
    let progress = |change: i64| {
        told.fetch_add(change, Ordering::Relaxed);
    };
    let retry =
        Retry { attempts: 3, pause: Duration::from_millis(1), longest: Duration::from_secs(5) };
    let fetched = fetch(source, files, &Download { folder, retry, progress: &progress }).await?;
    let all: u64 = files.iter().map(|file| file.size).sum();
    assert_eq!(told.into_inner(), i64::try_from(all).unwrap());
    Ok(fetched)
}

fn same_bytes(folder: &Path, contents: &Contents, files: &[RemoteFile]) {
    for file in files {
        let (_, expected) = contents.files.iter().find(|(path, _)| *path == file.path).unwrap();
        assert_eq!(std::fs::read(folder.join(&file.path)).unwrap(), *expected, "{}", file.path);
    }
    assert!(!folder.join(WORK_FOLDER).exists());
}

#[tokio::test]
async fn a_model_is_listed_page_by_page_and_downloaded() {
    let contents = Contents { page: 2, revisions: vec!["feature/x".into()], ..contents() };
    let mock = MockHub::start(contents.clone()).await.unwrap();
    let hub = hub(mock.endpoint(), Some("hf_secret"), Some("feature/x"));
    let listing = hub.list().await.unwrap();
    assert_eq!(listing.license.as_deref(), Some("apache-2.0"));
    assert_eq!(listing.origin.commit.as_deref(), Some(COMMIT));
    assert_eq!(listing.origin.revision.as_deref(), Some("feature/x"));
    assert_eq!(listing.files.len(), 6);
    let files = wanted(&listing);
    assert_eq!(files.len(), 5, "the pickle is left out");
    let folder = tempfile::tempdir().unwrap();
    let folder = listing.origin.folder_in(folder.path());
    assert!(folder.ends_with(COMMIT), "{folder:?}");
    let fetched = download(&hub, &files, &folder).await.unwrap();
    same_bytes(&folder, &contents, &files);
    let check = |name: &str| {
        fetched.verified.iter().find(|(path, _)| path == name).map(|(_, check)| check.name())
    };
    assert_eq!(check("model.safetensors"), Some("SHA-256"));
    assert_eq!(check("config.json"), Some("Git blob id"));
    // The token goes to the hub, and never to where it redirects.
    assert!(mock.seen().iter().all(|request| request.authorized != request.by_file_server));
    // What is here is not downloaded again, and what is not wanted goes.
    std::fs::write(folder.join("old.gguf"), "x").unwrap();
    let again = download(&hub, &files, &folder).await.unwrap();
    assert_eq!(again.received, 0);
    assert!(!folder.join("old.gguf").exists());
    // What was changed on the disk is.
    std::fs::write(folder.join("config.json"), "[]").unwrap();
    assert_eq!(download(&hub, &files, &folder).await.unwrap().received, 2);
    same_bytes(&folder, &contents, &files);
}

#[tokio::test]
async fn broken_connections_are_resumed() {
    let contents = contents();
    let mock = MockHub::start(contents.clone()).await.unwrap();
    let hub = hub(mock.endpoint(), None, None);
    let files = wanted(&hub.list().await.unwrap());
    mock.plan([Fault::Cut(100_000), Fault::Status(503, None), Fault::Cut(150_000)]);
    let folder = tempfile::tempdir().unwrap();
    let fetched = download(&hub, &files, folder.path()).await.unwrap();
    same_bytes(folder.path(), &contents, &files);
    let all: u64 = files.iter().map(|file| file.size).sum();
    assert_eq!(fetched.received, all, "nothing came twice");
    let ranges = mock.ranges();
    assert_eq!(ranges[0], "");
    assert_eq!(ranges.len(), 4);
    assert!(ranges[1..].iter().all(|range| range.starts_with("bytes=")), "{ranges:?}");
}

#[tokio::test]
async fn a_download_that_was_given_up_goes_on_later() {
    let contents = contents();
    let mock = MockHub::start(contents.clone()).await.unwrap();
    let source = hub(mock.endpoint(), None, None);
    let files = wanted(&source.list().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    // No attempt brings anything after the first.
    mock.plan([Fault::Cut(200_000), Fault::Status(500, None), Fault::Status(500, None)]);
    let ended = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(matches!(ended, SourceError::Answer { status: 500, .. }), "{ended}");
    let before = mock.ranges().len();
    mock.plan([Fault::WholeDespiteRange]);
    download(&source, &files, folder.path()).await.unwrap();
    same_bytes(folder.path(), &contents, &files);
    assert!(mock.ranges()[before].starts_with("bytes="), "{:?}", mock.ranges());
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_thrown_away() {
    let contents = contents();
    let mock = MockHub::start(contents.clone()).await.unwrap();
    let source = hub(mock.endpoint(), None, None);
    let files = wanted(&source.list().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    mock.plan([Fault::Wrong]);
    let ended = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(matches!(ended, SourceError::Mismatch { check: "SHA-256", .. }), "{ended}");
    assert!(!folder.path().join("model.safetensors").exists());
    // Wrong bytes in front, as after a crash of the machine: the whole is asked for once more.
    mock.plan([Fault::Cut(100_000), Fault::Status(500, None), Fault::Status(500, None)]);
    download(&source, &files, folder.path()).await.unwrap_err();
    for entry in std::fs::read_dir(folder.path().join(WORK_FOLDER)).unwrap().flatten() {
        if entry.metadata().unwrap().len() > 10 {
            let path = entry.path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[7] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let fetched = download(&source, &files, folder.path()).await.unwrap();
    same_bytes(folder.path(), &contents, &files);
    assert!(fetched.received > LARGE as u64, "{}", fetched.received);
}

#[tokio::test]
async fn waiting_is_done_where_it_is_short_and_told_where_it_is_long() {
    let contents = contents();
    let mock = MockHub::start(contents.clone()).await.unwrap();
    let source = hub(mock.endpoint(), None, None);
    let files = wanted(&source.list().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    mock.plan([Fault::Status(429, Some(3_600))]);
    let ended = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(ended.to_string().contains("try again in 3600 s"), "{ended}");
    mock.plan([Fault::Status(429, Some(0))]);
    download(&source, &files, folder.path()).await.unwrap();
    same_bytes(folder.path(), &contents, &files);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let gated = Contents { token: Some("hf_right".into()), ..contents() };
    let mock = MockHub::start(gated).await.unwrap();
    let ask = async |token, revision| hub(mock.endpoint(), token, revision).list().await;
    let said = ask(None, None).await.unwrap_err().to_string();
    assert!(said.contains("gated") && said.contains("set HF_TOKEN"), "{said}");
    let said = ask(Some("hf_wrong"), None).await.unwrap_err().to_string();
    assert!(said.contains("account of HF_TOKEN") && !said.contains("hf_wrong"), "{said}");
    let listing = ask(Some("hf_right"), None).await.unwrap();
    assert!(listing.notes[0].contains("gated"), "{:?}", listing.notes);
    let absent = ask(Some("hf_right"), Some("v9")).await.unwrap_err();
    assert!(matches!(absent, SourceError::NotFound { .. }), "{absent}");
    assert!(absent.to_string().contains("no such branch"), "{absent}");
    let settings = HubSettings { endpoint: Some(mock.endpoint()), token: None };
    let other = Hub::new(egress(), settings, "acme/other", None).unwrap();
    let absent = other.list().await.unwrap_err().to_string();
    assert!(absent.contains("check the name"), "{absent}");
    for endpoint in ["huggingface.co", "ftp://hub", "https://hub/?x=1"] {
        let settings = HubSettings { endpoint: Some(endpoint.into()), token: None };
        assert!(Hub::new(egress(), settings, "acme/base", None).is_err(), "{endpoint}");
    }
}

#[tokio::test]
async fn names_that_lead_out_of_the_folder_are_refused_before_anything_is_downloaded() {
    for path in ["../outside", "a/../../b", "/etc/cron.d/x", "x\u{1b}[2J"] {
        let mut contents = contents();
        contents.files.push((path.into(), Bytes::from_static(b"x")));
        let mock = MockHub::start(contents).await.unwrap();
        let refused = hub(mock.endpoint(), None, None).list().await.unwrap_err();
        assert!(matches!(refused, SourceError::Path { .. }), "{path}: {refused}");
        assert!(!refused.to_string().contains('\u{1b}'));
    }
}

#[tokio::test]
async fn redirects_stay_within_the_policy() {
    let mock = MockHub::start(contents()).await.unwrap();
    let source = hub(mock.endpoint(), None, None);
    let files = wanted(&source.list().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    mock.plan([Fault::Redirect("http://169.254.169.254/latest/meta-data".into())]);
    let ended = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(matches!(ended, SourceError::Network(EgressError::OutOfReach { .. })), "{ended}");
    mock.plan([Fault::Redirect("file:///etc/passwd".into())]);
    let ended = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(matches!(ended, SourceError::Network(EgressError::Address { .. })), "{ended}");
    let round = format!("{}/acme/base/resolve/{COMMIT}/model.safetensors", mock.endpoint());
    mock.plan((0..3).map(|_| Fault::Redirect(round.clone())));
    let ended = download(&source, &files, folder.path()).await.unwrap_err().to_string();
    assert!(ended.contains("redirects more than 5 times"), "{ended}");
}

#[tokio::test]
async fn a_hub_that_makes_no_sense_is_refused() {
    let listing = |tree: Reply| async move {
        let upstream = MockUpstream::start(move |n, _| match n {
            0 => Reply::json(200, &json!({ "sha": COMMIT })),
            _ => tree.clone(),
        });
        let upstream = upstream.await.unwrap();
        let endpoint = upstream.base_url();
        let said = hub(endpoint, None, None).list().await.unwrap_err().to_string();
        (said, upstream.seen().len())
    };
    let file = |path: &str| json!({ "type": "file", "path": path, "size": 1, "oid": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" });
    let elsewhere = Reply::json(200, &json!([file("a")]))
        .with_header("link", "<http://127.0.0.1:9/next>; rel=\"next\"");
    let (said, asked) = listing(elsewhere).await;
    assert!(said.contains("next page lies elsewhere") && asked == 2, "{said}");
    let (said, _) = listing(Reply::json(200, &json!([file("a"), file("a")]))).await;
    assert!(said.contains("twice"), "{said}");
    let unnamed = json!([{ "type": "file", "path": "a", "size": 1 }]);
    let (said, _) = listing(Reply::json(200, &unnamed)).await;
    assert!(said.contains("no checksum"), "{said}");
    let many: Vec<_> = (0..10_001).map(|at| file(&at.to_string())).collect();
    let (said, _) = listing(Reply::json(200, &json!(many))).await;
    assert!(said.contains("more files"), "{said}");
    let endless = vec![Piece::Bytes(Bytes::from(vec![b' '; 17 << 20]))];
    let (said, _) = listing(Reply { pieces: endless, ..Reply::json(200, &json!([])) }).await;
    assert!(said.contains("longer than"), "{said}");
    let upstream = MockUpstream::replies(vec![Reply::json(200, &json!({ "sha": "../x" }))]);
    let upstream = upstream.await.unwrap();
    let said = hub(upstream.base_url(), None, None).list().await.unwrap_err().to_string();
    assert!(said.contains("no commit"), "{said}");
}

#[tokio::test]
async fn what_does_not_fit_and_what_is_busy_is_refused() {
    let mock = MockHub::start(contents()).await.unwrap();
    let source = hub(mock.endpoint(), None, None);
    let files = wanted(&source.list().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut huge = files.clone();
    huge[3].size = 1 << 60;
    let refused = download(&source, &huge, folder.path()).await.unwrap_err();
    assert!(matches!(refused, SourceError::NoSpace { .. }), "{refused}");
    let mut first = Box::pin(download(&source, &files, folder.path()));
    // Until it holds the lock and waits.
    assert!(first.as_mut().now_or_never().is_none());
    let refused = download(&source, &files, folder.path()).await.unwrap_err();
    assert!(matches!(refused, SourceError::InUse { .. }), "{refused}");
    drop(first);
    download(&source, &files, folder.path()).await.unwrap();
}

/// Two objects over two pages, and their bytes.
fn bucket_answers(n: usize, path: &str) -> Reply {
    let page = |object: &str, next: &str| {
        let xml = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{next}<EncodingType>url</EncodingType><Contents><Key>base/{object}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e1\"</ETag><Size>5</Size></Contents></ListBucketResult>"
        );
        Reply { status: 200, headers: vec![], pieces: vec![Piece::Bytes(xml.into())] }
    };
    match n {
        0 => page(
            "a+b.json",
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
        ),
        1 => page("config.json", "<IsTruncated>false</IsTruncated>"),
        _ if path.ends_with("config.json") => {
            let changed = "<Error><Code>PreconditionFailed</Code></Error>";
            Reply { status: 412, headers: vec![], pieces: vec![Piece::Bytes(changed.into())] }
        }
        _ => Reply { status: 200, headers: vec![], pieces: vec![Piece::Bytes("12345".into())] }
            .with_header("x-amz-checksum-crc32", "y/U6HA=="),
    }
}

#[tokio::test]
async fn a_bucket_is_read_with_signed_requests_for_what_was_listed() {
    let upstream = MockUpstream::start(|n, seen| bucket_answers(n, &seen.path)).await.unwrap();
    let settings = BucketSettings {
        endpoint: Some(upstream.base_url().replace("/v1", "")),
        key_id: Some("AKIDEXAMPLE".into()),
        secret_key: Some(Redacted::new("very-secret".into())),
        ..BucketSettings::default()
    };
    let bucket = Bucket::new(egress(), settings, "models", "base").unwrap();
    let listing = bucket.list().await.unwrap();
    let names: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["a b.json", "config.json"]);
    let folder = tempfile::tempdir().unwrap();
    let first = &listing.files[..1];
    assert_eq!(bucket.integrity(&first[0]).await.unwrap(), Integrity::Crc32(0xcbf5_3a1c));
    download(&bucket, first, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("a b.json")).unwrap(), b"12345");
    let changed = download(&bucket, &listing.files[1..], folder.path()).await.unwrap_err();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
    let seen = upstream.seen();
    let object = seen.iter().find(|request| request.path.ends_with("config.json")).unwrap();
    assert_eq!(object.headers["if-match"], "\"e1\"");
    assert_eq!(object.headers["x-amz-checksum-mode"], "ENABLED");
    assert!(!object.headers.contains_key("authorization"));
    let half = BucketSettings { key_id: Some("only".into()), ..BucketSettings::default() };
    assert!(Bucket::new(egress(), half, "models", "").is_err());
}
