//! What an engine process is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use pelton_model::Precision;
use pelton_scheduler::Limits;

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A loopback address; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A socket file, which must not exist yet.
    Unix(PathBuf),
}

/// Options of one engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Folder in Hugging Face layout, or a GGUF file.
    pub model_dir: PathBuf,
    /// Name under which requests ask for the base model.
    pub served_name: String,
    /// Precision of linear layers in memory.
    pub quantization: Precision,
    /// Sequences that run at a time.
    pub max_batch: usize,
    /// Tokens computed per step.
    pub max_batch_tokens: usize,
    /// Tokens whose keys and values are kept.
    pub kv_tokens: usize,
    /// Requests that may wait; more get status 429.
    pub max_waiting: usize,
    /// Tokens that a step guesses at most by looking back; decided by the model's size where absent.
    pub speculative_tokens: Option<usize>,
    /// Threads that compute.
    pub threads: usize,
    /// Adapters to load at start: name and PEFT folder.
    pub adapters: Vec<(String, PathBuf)>,
    /// When set, adapters are only loaded from inside this folder.
    pub adapter_root: Option<PathBuf>,
    /// Where to listen.
    pub bind: Bind,
    /// Bearer token that every request but `/healthz` must carry; without one, everybody on this
    /// machine can use the engine.
    pub token: Option<String>,
    /// Whether to end when standard input closes.
    pub exit_with_stdin: bool,
}

impl EngineOptions {
    /// Options for a model folder: its name is the folder's, limits are the scheduler's defaults, and
    /// it listens on a free loopback port.
    pub fn new(model_dir: impl Into<PathBuf>) -> Self {
        let model_dir = model_dir.into();
        let limits = Limits::default();
        Self {
            served_name: model_dir
                .file_name()
                .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()),
            model_dir,
            quantization: Precision::F32,
            max_batch: limits.max_batch,
            max_batch_tokens: limits.max_batch_tokens,
            kv_tokens: limits.kv_tokens,
            max_waiting: limits.max_waiting,
            speculative_tokens: limits.guessed_tokens,
            threads: limits.threads,
            adapters: Vec::new(),
            adapter_root: None,
            bind: Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            token: None,
            exit_with_stdin: true,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_batch: self.max_batch.max(1),
            max_batch_tokens: self.max_batch_tokens.max(1),
            kv_tokens: self.kv_tokens,
            max_waiting: self.max_waiting,
            guessed_tokens: self.speculative_tokens,
            threads: self.threads.max(1),
        }
    }
}
