//! A hub that speaks the three routes of the Hugging Face Hub which downloads need, with a second
//! server for large files as the real one has, and faults by script.
//!
//! `tests/clients/hub.py` is the same in Python, and is held to what `huggingface_hub` accepts.

use crate::mock_upstream::Piece;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The commit that every revision stands for.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The only repository.
pub const REPOSITORY: &str = "acme/base";

/// What the hub holds and how it behaves.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Path and content; those of at least `large` bytes lie in Git LFS.
    pub files: Vec<(String, Bytes)>,
    /// From which size on files lie in Git LFS.
    pub large: usize,
    /// `cardData` of the API.
    pub card: Value,
    /// Branches and tags.
    pub revisions: Vec<String>,
    /// The token that readers must show, where the repository is gated.
    pub token: Option<String>,
    /// Entries of a page of the tree.
    pub page: usize,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            large: 1_000,
            card: json!({ "license": "apache-2.0" }),
            revisions: vec!["main".into()],
            token: None,
            page: 1_000,
        }
    }
}

/// What happens to the next request for a file's bytes.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// Nothing comes after so many bytes.
    Hang(usize),
    /// A status instead, with `Retry-After` where it is given.
    Status(u16, Option<u64>),
    /// Other bytes of the same length.
    Wrong,
    /// The whole, although a range was asked for.
    WholeDespiteRange,
    /// A redirect to this address.
    Redirect(String),
    /// Nothing unusual.
    None,
}

/// A request as the hub or its file server saw it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether the file server saw it.
    pub by_file_server: bool,
    /// Its path, decoded.
    pub path: String,
    /// Whether it showed a token.
    pub authorized: bool,
    /// Its `Range` header.
    pub range: Option<String>,
}

struct Shared {
    contents: Contents,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Request>>,
    file_server: String,
}

/// A running hub. It stops when dropped.
pub struct MockHub {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl MockHub {
    /// Starts a hub and its file server.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(contents: Contents) -> anyhow::Result<Self> {
        let hub = TcpListener::bind("127.0.0.1:0").await?;
        let files = TcpListener::bind("127.0.0.1:0").await?;
        let address = hub.local_addr()?;
        let shared = Arc::new(Shared {
            contents,
            faults: Mutex::default(),
            seen: Mutex::default(),
            file_server: format!("http://{}", files.local_addr()?),
        });
        let api = Router::new()
            .route("/api/models/{org}/{name}/revision/{revision}", get(info))
            .route("/api/models/{org}/{name}/tree/{commit}", get(tree))
            .route("/{org}/{name}/resolve/{commit}/{*path}", get(resolve))
            .with_state(shared.clone());
        let blobs = Router::new().route("/blob/{sha256}", get(blob)).with_state(shared.clone());
        let serve = |listener: TcpListener, router: Router| {
            tokio::spawn(async move {
                // It serves until the test drops it.
                let _: std::io::Result<()> = axum::serve(listener, router).await;
            })
        };
        Ok(Self { address, shared, tasks: [serve(hub, api), serve(files, blobs)] })
    }

    /// For `HF_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans what happens to the next requests for bytes, one each.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.shared.faults).extend(faults);
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        locked(&self.shared.seen).clone()
    }

    /// The ranges that were asked of the file server; "" for the whole.
    #[must_use]
    pub fn ranges(&self) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|request| request.by_file_server);
        seen.map(|request| request.range.unwrap_or_default()).collect()
    }
}

impl Drop for MockHub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn note(&self, by_file_server: bool, path: &str, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        locked(&self.seen).push(Request {
            by_file_server,
            path: path.to_owned(),
            authorized: headers.contains_key(header::AUTHORIZATION),
            range: text(header::RANGE).map(str::to_owned),
        });
    }

    /// The refusal of a caller without the token, of another repository, of another revision.
    fn refusal(&self, repository: &str, revision: &str, headers: &HeaderMap) -> Option<Response> {
        if repository != REPOSITORY {
            return Some(refuse(404, "RepoNotFound", "Repository not found"));
        }
        if let Some(token) = &self.contents.token {
            let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            match shown {
                None => return Some(refuse(401, "GatedRepo", "Access is restricted")),
                Some(shown) if shown != format!("Bearer {token}") => {
                    return Some(refuse(403, "GatedRepo", "You are not in the authorized list"));
                }
                Some(_) => {}
            }
        }
        let known = revision == COMMIT || self.contents.revisions.iter().any(|it| it == revision);
        (!known).then(|| refuse(404, "RevisionNotFound", "Invalid rev id"))
    }

    fn file(&self, path: &str) -> Option<&Bytes> {
        self.contents.files.iter().find(|(name, _)| name == path).map(|(_, content)| content)
    }

    fn next_fault(&self) -> Fault {
        locked(&self.faults).pop_front().unwrap_or(Fault::None)
    }
}

fn refuse(status: u16, code: &'static str, message: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let headers = [("x-error-code", code), ("x-error-message", message)];
    (status, headers, Json(json!({ "error": message }))).into_response()
}

fn git_blob(content: &[u8]) -> String {
    let head = format!("blob {}\0", content.len());
    hex::encode(Sha1::new().chain_update(head).chain_update(content).finalize())
}

async fn info(
    State(hub): State<Arc<Shared>>,
    Path((org, name, revision)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    hub.note(false, &format!("revision/{revision}"), &headers);
    let id = format!("{org}/{name}");
    if let Some(refusal) = hub.refusal(&id, &revision, &headers) {
        return refusal;
    }
    let gated = if hub.contents.token.is_some() { json!("manual") } else { json!(false) };
    let siblings: Vec<Value> =
        hub.contents.files.iter().map(|(path, _)| json!({ "rfilename": path })).collect();
    Json(json!({
        "id": id, "modelId": id, "sha": COMMIT, "private": false, "gated": gated, "tags": [],
        "cardData": hub.contents.card, "siblings": siblings,
    }))
    .into_response()
}

async fn tree(
    State(hub): State<Arc<Shared>>,
    Path((org, name, commit)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    hub.note(false, &format!("tree/{commit}"), &headers);
    let id = format!("{org}/{name}");
    if let Some(refusal) = hub.refusal(&id, &commit, &headers) {
        return refusal;
    }
    let from: usize = query.get("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let Contents { files, large, page, .. } = &hub.contents;
    let entries: Vec<Value> = files
        .iter()
        .skip(from)
        .take(*page)
        .map(|(path, content)| {
            let size = content.len();
            if size < *large {
                return json!({ "type": "file", "path": path, "size": size, "oid": git_blob(content) });
            }
            let sha256 = hex::encode(Sha256::digest(content));
            json!({
                "type": "file", "path": path, "size": size, "oid": git_blob(b"pointer"),
                "lfs": { "oid": sha256, "size": size, "pointerSize": 134 },
            })
        })
        .collect();
    let mut answer = Json(entries).into_response();
    if from + page < files.len() {
        let host =
            headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let next = from + page;
        let link = format!(
            "<http://{host}/api/models/{id}/tree/{commit}?recursive=true&cursor={next}>; rel=\"next\""
        );
        if let Ok(link) = HeaderValue::from_str(&link) {
            answer.headers_mut().insert(header::LINK, link);
        }
    }
    answer
}

async fn resolve(
    State(hub): State<Arc<Shared>>,
    Path((org, name, commit, path)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    hub.note(false, &path, &headers);
    if let Some(refusal) = hub.refusal(&format!("{org}/{name}"), &commit, &headers) {
        return refusal;
    }
    let Some(content) = hub.file(&path) else {
        return refuse(404, "EntryNotFound", "Entry not found");
    };
    if content.len() < hub.contents.large {
        return send(content, &headers, Fault::None);
    }
    let sha256 = hex::encode(Sha256::digest(content));
    let location = format!("{}/blob/{sha256}?signature=x", hub.file_server);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn blob(
    State(hub): State<Arc<Shared>>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Response {
    hub.note(true, &sha256, &headers);
    let found = hub
        .contents
        .files
        .iter()
        .map(|(_, content)| content)
        .find(|content| hex::encode(Sha256::digest(content)) == sha256);
    match found {
        Some(content) => send(content, &headers, hub.next_fault()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file's bytes, from where a range begins.
fn send(content: &Bytes, headers: &HeaderMap, fault: Fault) -> Response {
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let from = asked
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .filter(|_| !matches!(fault, Fault::WholeDespiteRange));
    if let Some(from) = from
        && from >= content.len()
    {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let rest = content.slice(from.unwrap_or(0)..);
    let end = |most: &usize| rest.slice(..rest.len().min(*most));
    let pieces = match &fault {
        Fault::Cut(most) => vec![Piece::Bytes(end(most)), Piece::Cut],
        Fault::Hang(most) => vec![Piece::Bytes(end(most)), Piece::Hang],
        Fault::Wrong => vec![Piece::Bytes(rest.iter().map(|byte| byte ^ 1).collect())],
        Fault::Status(status, wait) => {
            let status = StatusCode::from_u16(*status).unwrap_or_default();
            let wait = wait.map(|wait| [(header::RETRY_AFTER, wait.to_string())]);
            return match wait {
                Some(wait) => (status, wait).into_response(),
                None => status.into_response(),
            };
        }
        Fault::Redirect(address) => {
            return (StatusCode::FOUND, [(header::LOCATION, address.clone())]).into_response();
        }
        Fault::WholeDespiteRange | Fault::None => vec![Piece::Bytes(rest.clone())],
    };
    let mut answer = Response::new(Body::from_stream(crate::mock_upstream::play_unwatched(pieces)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(rest.len()));
    if let Some(from) = from {
        let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
        if let Ok(range) = HeaderValue::from_str(&range) {
            headers.insert(header::CONTENT_RANGE, range);
        }
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    answer
}
