//! An OpenAI-compatible upstream that answers by script: unary or streamed, failing before or
//! after the first token, cut, or silent.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// A request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub raw: Bytes,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

/// What the upstream answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Extra headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, piece by piece; it ends with the last one.
    pub pieces: Vec<Piece>,
}

/// A step of an answer's body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing until the test lets it go on.
    Wait(Arc<Notify>),
    /// The connection breaks.
    Cut,
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".into())],
            pieces: vec![Piece::Bytes(body.to_string().into())],
        }
    }

    /// A whole answer that says `text`, with usage of 7 prompt and 3 completion tokens.
    #[must_use]
    pub fn answer(text: &str) -> Self {
        Self::json(
            200,
            &json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "mock",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                             "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            }),
        )
    }

    /// An error in OpenAI's shape.
    #[must_use]
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({"error": {"message": message, "type": "mock", "code": null}}))
    }

    /// A stream of these pieces.
    #[must_use]
    pub fn stream(pieces: Vec<Piece>) -> Self {
        Self { status: 200, headers: vec![("content-type", "text/event-stream".into())], pieces }
    }

    /// A stream that says `texts` one after another and ends as it should.
    #[must_use]
    pub fn streamed(texts: &[&str]) -> Self {
        let mut pieces = vec![Piece::role()];
        pieces.extend(texts.iter().map(|text| Piece::text(text)));
        pieces.extend([Piece::stop(), Piece::usage(), Piece::done()]);
        Self::stream(pieces)
    }

    /// No answer, not even a status, until the caller goes away.
    #[must_use]
    pub fn silence() -> Self {
        Self { status: 0, headers: Vec::new(), pieces: Vec::new() }
    }

    /// This reply with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Piece {
    /// A chunk whose only choice is `choice`.
    #[must_use]
    pub fn chunk(choice: &Value) -> Self {
        Self::data(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                           "model": "mock", "choices": [choice]}))
    }

    /// An event with this data.
    #[must_use]
    pub fn data(data: &Value) -> Self {
        Self::Bytes(format!("data: {data}\n\n").into())
    }

    /// The chunk that only says who speaks.
    #[must_use]
    pub fn role() -> Self {
        Self::chunk(&json!({"index": 0, "delta": {"role": "assistant", "content": ""},
                            "finish_reason": null}))
    }

    /// A chunk that adds `text`.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::chunk(&json!({"index": 0, "delta": {"content": text}, "finish_reason": null}))
    }

    /// The chunk that ends the answer.
    #[must_use]
    pub fn stop() -> Self {
        Self::chunk(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}))
    }

    /// The chunk that carries the usage of 7 prompt and 3 completion tokens.
    #[must_use]
    pub fn usage() -> Self {
        Self::data(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "mock", "choices": [],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}))
    }

    /// The event that ends the stream.
    #[must_use]
    pub fn done() -> Self {
        Self::Bytes(Bytes::from_static(b"data: [DONE]\n\n"))
    }
}

type Script = Arc<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

/// A running upstream. It stops when dropped.
pub struct MockUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    abandoned: mpsc::UnboundedReceiver<usize>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Script,
    count: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    abandoned: mpsc::UnboundedSender<usize>,
}

impl MockUpstream {
    /// Starts an upstream that answers request number `n`, from 0 on, with `script(n, request)`.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, abandoned) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            count: AtomicUsize::new(0),
            seen: Mutex::default(),
            abandoned: sender,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // It serves until the test drops it.
            let _: std::io::Result<()> = axum::serve(listener, router).await;
        });
        Ok(Self { address, shared, abandoned, task })
    }

    /// Starts an upstream that gives `replies` in turn and then the last one again and again.
    ///
    /// # Errors
    /// When no port can be opened, or without replies.
    pub async fn replies(replies: Vec<Reply>) -> anyhow::Result<Self> {
        anyhow::ensure!(!replies.is_empty(), "a mock upstream needs a reply");
        Self::start(move |n, _| replies[n.min(replies.len() - 1)].clone()).await
    }

    /// The address up to and including `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a caller goes away before its answer's end; says which request it was.
    pub async fn abandoned(&mut self) -> Option<usize> {
        self.abandoned.recv().await
    }
}

impl Drop for MockUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reports an exchange that was dropped before its end.
struct Watch {
    number: usize,
    ended: bool,
    report: mpsc::UnboundedSender<usize>,
}

impl Watch {
    /// The exchange came to its end, so that dropping it is no surprise.
    const fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody listens where the test does not care.
            let _: Result<(), _> = self.report.send(self.number);
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let raw = axum::body::to_bytes(body, 1 << 30).await.unwrap_or_default();
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let seen = Seen { path: head.uri.path().to_owned(), headers: head.headers, raw, body };
    let number = shared.count.fetch_add(1, Ordering::SeqCst);
    let reply = (shared.script)(number, &seen);
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    let watch = Watch { number, ended: false, report: shared.abandoned.clone() };
    let Ok(status) = StatusCode::from_u16(reply.status) else {
        let _watch = watch;
        return pending().await;
    };
    let mut response = Response::builder().status(status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(play(reply.pieces, watch))).unwrap_or_default()
}

/// Plays pieces whose reader nobody waits for.
pub(crate) fn play_unwatched(
    pieces: Vec<Piece>,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    let (report, _) = mpsc::unbounded_channel();
    play(pieces, Watch { number: 0, ended: false, report })
}

fn play(
    pieces: Vec<Piece>,
    watch: Watch,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((pieces.into_iter(), watch), |(mut pieces, mut watch)| async move {
        loop {
            match pieces.next() {
                None => {
                    watch.end();
                    return None;
                }
                Some(Piece::Bytes(bytes)) => return Some((Ok(bytes), (pieces, watch))),
                Some(Piece::Wait(go)) => go.notified().await,
                Some(Piece::Hang) => pending().await,
                Some(Piece::Cut) => {
                    // While the body waits, what was written so far leaves for the caller.
                    tokio::task::yield_now().await;
                    watch.end();
                    return Some((Err(std::io::Error::other("cut")), (pieces, watch)));
                }
            }
        }
    })
}
