//! Serving a model that reads and does not write: one request computes at a time, on all threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use pelton_context::{Clock, SystemClock};
use pelton_encoder::{Embedder, EncoderError, ReadingModel, Reranker, Work};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::metrics::render_reading;
use crate::{EngineOptions, ServeError};

/// The model behind the router; clones are cheap.
#[derive(Clone)]
pub(crate) struct ReadingState {
    shared: Arc<Shared>,
}

struct Shared {
    model: ReadingModel,
    served_name: String,
    model_dir: PathBuf,
    token: Option<Arc<str>>,
    started: i64,
    clock: SystemClock,
    threads: usize,
    batch_tokens: usize,
    max_waiting: usize,
    /// One place: threads are shared out within a request, and requests take turns.
    turn: Arc<Semaphore>,
    requests: AtomicU64,
    counters: ReadingCounters,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct ReadingCounters {
    pub(crate) waiting: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) finished: AtomicU64,
    pub(crate) rejected: AtomicU64,
}

/// Counts one more while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(count), before)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the computation that nobody waits for it any more.
struct AbandonOnDrop(Arc<AtomicBool>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl ReadingState {
    /// Whether a folder holds such a model; a folder without a readable `config.json` is left to
    /// those who say what is wrong with it.
    pub(crate) fn is_for(folder: &Path) -> bool {
        ReadingModel::is_in(folder).unwrap_or(false)
    }

    /// Loads the model. Reads files and packs weights: not for an async thread.
    pub(crate) fn load(options: &EngineOptions) -> Result<Self, ServeError> {
        if !options.adapters.is_empty() {
            return Err(ServeError::AdaptersOfReader);
        }
        let model = ReadingModel::load(&options.model_dir, options.quantization)?;
        let limits = options.limits();
        let clock = SystemClock;
        let shared = Shared {
            model,
            served_name: options.served_name.clone(),
            model_dir: options.model_dir.clone(),
            token: options.token.as_deref().map(Arc::from),
            started: clock.now().0 / 1_000_000,
            clock,
            threads: limits.threads,
            batch_tokens: limits.max_batch_tokens,
            max_waiting: limits.max_waiting,
            turn: Arc::new(Semaphore::new(1)),
            requests: AtomicU64::new(0),
            counters: ReadingCounters::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn token(&self) -> Option<Arc<str>> {
        self.shared.token.clone()
    }

    pub(crate) fn served_name(&self) -> &str {
        &self.shared.served_name
    }

    /// Longest input, in tokens.
    pub(crate) fn max_tokens(&self) -> usize {
        match &self.shared.model {
            ReadingModel::Embedder(embedder) => embedder.max_tokens(),
            ReadingModel::Reranker(reranker) => reranker.max_tokens(),
        }
    }

    /// Unix time in seconds.
    pub(crate) fn now(&self) -> i64 {
        self.shared.clock.now().0 / 1_000_000
    }

    /// An id that no other request of this process has.
    pub(crate) fn next_id(&self, kind: &str) -> String {
        let number = self.shared.requests.fetch_add(1, Ordering::Relaxed);
        format!("{kind}-{:x}{number:08x}", self.shared.started)
    }

    /// Refuses another model's name.
    pub(crate) fn check_model(&self, model: &str) -> Result<(), ApiError> {
        if model == self.shared.served_name {
            return Ok(());
        }
        Err(ApiError::unknown_model(model, std::slice::from_ref(&self.shared.served_name)))
    }

    pub(crate) fn embedder(&self) -> Result<&Embedder, ApiError> {
        match &self.shared.model {
            ReadingModel::Embedder(embedder) => Ok(embedder),
            ReadingModel::Reranker(_) => Err(self.wrong_kind()),
        }
    }

    pub(crate) fn reranker(&self) -> Result<&Reranker, ApiError> {
        match &self.shared.model {
            ReadingModel::Reranker(reranker) => Ok(reranker),
            ReadingModel::Embedder(_) => Err(self.wrong_kind()),
        }
    }

    /// The model cannot do what was asked.
    fn wrong_kind(&self) -> ApiError {
        let (what, route) = match &self.shared.model {
            ReadingModel::Embedder(_) => ("makes embeddings", "/v1/embeddings"),
            ReadingModel::Reranker(_) => ("ranks documents", "/v1/rerank"),
        };
        ApiError::wrong_kind(&self.shared.served_name, what, route)
    }

    /// Runs `compute` in its turn, off the async threads; dropping the future abandons it.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&Self, Work<'_>) -> Result<Option<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = &*self.shared;
        let counters = &shared.counters;
        let (waiting, before) = Counted::new(&counters.waiting);
        if before >= shared.max_waiting {
            counters.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(ApiError::overloaded(before));
        }
        let turn = Arc::clone(&shared.turn).acquire_owned().await;
        let turn = turn.map_err(|_| ApiError::stopped())?;
        drop(waiting);
        let abandoned = Arc::new(AtomicBool::new(false));
        let _abandon = AbandonOnDrop(Arc::clone(&abandoned));
        let state = self.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let (_running, _) = Counted::new(&state.shared.counters.running);
            let (threads, tokens) = (state.shared.threads, state.shared.batch_tokens);
            compute(&state, Work { tokens, threads, abandoned: &abandoned })
        });
        let computed = computing.await.map_err(|_| ApiError::stopped())??;
        computed.ok_or_else(ApiError::stopped)
    }

    /// Counts an answered request.
    pub(crate) fn finished(&self, prompt_tokens: usize) {
        let counters = &self.shared.counters;
        counters.prompt_tokens.fetch_add(prompt_tokens as u64, Ordering::Relaxed);
        counters.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// Cuts to `truncate_prompt_tokens` as vLLM has it: -1 means as many tokens as the model reads.
pub(crate) fn truncation(asked: Option<i64>, most: usize) -> Result<Option<usize>, ApiError> {
    match asked {
        None => Ok(None),
        Some(-1) => Ok(Some(most)),
        Some(asked) => match usize::try_from(asked) {
            Ok(asked) if (1..=most).contains(&asked) => Ok(Some(asked)),
            _ => {
                let message = format!(
                    "truncate_prompt_tokens is {asked}, but must be -1 or between 1 and {most}"
                );
                let parameter = Some("truncate_prompt_tokens");
                Err(ApiError::bad_request("invalid_value", parameter, message))
            }
        },
    }
}

/// What a model says of an input in `parameter`.
pub(crate) fn refused(error: &EncoderError, parameter: &str) -> ApiError {
    let code = match error {
        EncoderError::TooLong { .. } => "context_length_exceeded",
        EncoderError::Empty => "empty_input",
        EncoderError::UnknownToken { .. } => "invalid_token",
        _ => "invalid_input",
    };
    ApiError::bad_request(code, Some(parameter), error.to_string())
}

/// `GET /v1/models`.
pub(crate) async fn list_models(State(state): State<ReadingState>) -> Json<Value> {
    let shared = &state.shared;
    Json(json!({"object": "list", "data": [{
        "id": shared.served_name, "object": "model", "created": shared.started,
        "owned_by": "pelton", "root": shared.model_dir, "parent": null,
        "max_model_len": state.max_tokens(),
    }]}))
}

/// Answers what only models that write can answer.
pub(crate) async fn cannot_write(State(state): State<ReadingState>) -> ApiError {
    state.wrong_kind()
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(state): State<ReadingState>) -> impl IntoResponse {
    let text = render_reading(&state.shared.counters, &state.shared.served_name);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
