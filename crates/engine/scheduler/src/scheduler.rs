//! The handle through which requests and adapters reach the scheduler's thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use pelton_kernels::decode::{BLOCK_TOKENS, PackError};
use pelton_model::ModelError;
use pelton_tokens::{TextCodec, TokensError};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::adapter_registry::AdapterRegistry;
use crate::paged_kv::BlockPool;
use crate::prefix_cache::PrefixCache;
use crate::sequence::Admitted;
use crate::step_loop::{Command, StepLoop};
use crate::waiting_queue::WaitingQueue;
use crate::worker::{Engine, Workers};
use crate::{
    AdapterError, AdapterInfo, Counters, CountersSnapshot, Decoder, Event, GenerateRequest,
    SubmitError,
};

/// Tokens that a step of a large model guesses: reading its weights takes most of a step's time.
const GUESSED_TOKENS: usize = 8;

/// How much the scheduler takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that run at a time.
    pub max_batch: usize,
    /// Tokens per step: the generating sequences, and chunks of prompts up to this.
    pub max_batch_tokens: usize,
    /// Tokens whose keys and values fit; running sequences and the prefix cache share them.
    pub kv_tokens: usize,
    /// Requests that may wait; more are refused.
    pub max_waiting: usize,
    /// Tokens that a step guesses at most, by looking back at the prompt (speculative decoding). Where
    /// absent, a model too large for the processor's caches guesses 8 and a small one none.
    pub guessed_tokens: Option<usize>,
    /// Threads that compute.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_batch: 64,
            max_batch_tokens: 1024,
            kv_tokens: 64 * 1024,
            max_waiting: 1024,
            guessed_tokens: None,
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Why there is no scheduler.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The model's folder cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its tokenizer or template cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Its weights cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The model has something that this engine does not compute.
    #[error("this model is not supported: it has {0}")]
    Unsupported(String),
    /// A sequence is too long or has an unknown token.
    #[error("the tokens do not fit the model: {0}")]
    Sequence(String),
    /// The tokenizer has tokens that the model has no row for.
    #[error(
        "the tokenizer has {tokenizer} tokens but the model only {model}; they do not belong together"
    )]
    Vocabulary {
        /// Ids of the tokenizer.
        tokenizer: usize,
        /// Rows of the embedding.
        model: usize,
    },
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A running scheduler. Clones are handles to the same one; it ends when the last is dropped and the
/// last request is done, or on [`Scheduler::stop`].
#[derive(Debug, Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    limits: Limits,
    adapters: AdapterRegistry,
    counters: Arc<Counters>,
    inbox: Sender<Command>,
    tickets: AtomicU64,
    /// Closed when the thread has ended.
    ended: watch::Receiver<()>,
}

impl Scheduler {
    /// Starts the scheduler's thread.
    ///
    /// # Errors
    /// [`SchedulerError::Vocabulary`] when tokenizer and model do not belong together,
    /// [`SchedulerError::Thread`].
    pub fn start(
        decoder: Decoder,
        codec: Arc<TextCodec>,
        limits: Limits,
    ) -> Result<Self, SchedulerError> {
        if codec.vocab_size() > decoder.config().vocab_size {
            return Err(SchedulerError::Vocabulary {
                tokenizer: codec.vocab_size(),
                model: decoder.config().vocab_size,
            });
        }
        let engine = Engine { decoder: Arc::new(decoder), codec };
        let counters = Arc::new(Counters::default());
        let (inbox, commands) = channel();
        let (life, ended) = watch::channel(());
        let workers = Workers::start(engine.clone(), limits.threads)?;
        let by_size = if workers.divide_operators() { GUESSED_TOKENS } else { 0 };
        let step_loop = StepLoop {
            limits,
            inbox: commands,
            guessed_tokens: limits.guessed_tokens.unwrap_or(by_size),
            workers,
            pool: BlockPool::new(engine.decoder.blocks, limits.kv_tokens / BLOCK_TOKENS),
            prefixes: PrefixCache::new(),
            counters: Arc::clone(&counters),
            waiting: WaitingQueue::default(),
            running: Vec::new(),
            _life: life,
        };
        thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(move || step_loop.run())
            .map_err(SchedulerError::Thread)?;
        let shared = Shared {
            engine,
            limits,
            adapters: AdapterRegistry::default(),
            counters,
            inbox,
            tickets: AtomicU64::new(0),
            ended,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Queues a generation. Dropping the receiver cancels it before the next step.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was queued then.
    pub fn submit(
        &self,
        request: GenerateRequest,
    ) -> Result<UnboundedReceiver<Event>, SubmitError> {
        let shared = &*self.shared;
        let max_tokens = self.check(&request)?;
        let adapter = match &request.adapter {
            None => None,
            Some(name) => Some(
                shared
                    .adapters
                    .get(name)
                    .ok_or_else(|| SubmitError::UnknownAdapter(name.clone()))?,
            ),
        };
        let waiting = shared.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let refuse = |error| {
            shared.counters.waiting.fetch_sub(1, Ordering::Relaxed);
            shared.counters.rejected.fetch_add(1, Ordering::Relaxed);
            Err(error)
        };
        if waiting >= shared.limits.max_waiting {
            return refuse(SubmitError::Overloaded { waiting });
        }
        let (events, receiver) = unbounded_channel();
        let admitted = Admitted {
            request,
            max_tokens,
            adapter,
            events,
            arrived: Instant::now(),
            ticket: shared.tickets.fetch_add(1, Ordering::Relaxed),
        };
        match shared.inbox.send(Command::Submit(Box::new(admitted))) {
            Ok(()) => Ok(receiver),
            Err(_) => refuse(SubmitError::Stopped),
        }
    }

    /// Most tokens that this request can generate.
    fn check(&self, request: &GenerateRequest) -> Result<usize, SubmitError> {
        let prompt = request.prompt.len();
        let vocab_size = self.shared.engine.decoder.config().vocab_size;
        if prompt == 0 {
            return Err(SubmitError::EmptyPrompt);
        }
        if let Some(&token) = request.prompt.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(SubmitError::UnknownToken { token, vocab_size });
        }
        let context = self.context_length();
        let max_tokens = match request.max_tokens {
            Some(asked) => asked,
            None => context.saturating_sub(prompt).max(1),
        };
        if prompt.saturating_add(max_tokens) > context {
            return Err(SubmitError::ContextTooLong { context, prompt, max_tokens });
        }
        Ok(max_tokens)
    }

    /// Longest prompt with answer, in tokens: what the model was made for, or what the cache holds.
    pub fn context_length(&self) -> usize {
        let capacity = self.shared.limits.kv_tokens / BLOCK_TOKENS * BLOCK_TOKENS;
        self.shared.engine.decoder.context_length().min(capacity)
    }

    /// The tokenizer and template.
    pub fn codec(&self) -> &Arc<TextCodec> {
        &self.shared.engine.codec
    }

    /// How many logits the model gives, at least as many as the tokenizer has tokens.
    pub fn vocab_size(&self) -> usize {
        self.shared.engine.decoder.config().vocab_size
    }

    /// The limits it was started with.
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Loads a PEFT folder under a name. Reads files: not for an async thread.
    ///
    /// # Errors
    /// [`AdapterError`]; what was loaded before stays as it is.
    pub fn load_adapter(
        &self,
        name: &str,
        folder: &Path,
        replace: bool,
    ) -> Result<AdapterInfo, AdapterError> {
        self.shared.adapters.load(name, folder, replace, &self.shared.engine.decoder)
    }

    /// Forgets an adapter; running requests finish with it.
    ///
    /// # Errors
    /// [`AdapterError::NotLoaded`].
    pub fn unload_adapter(&self, name: &str) -> Result<AdapterInfo, AdapterError> {
        self.shared.adapters.unload(name)
    }

    /// Loaded adapters by name.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        self.shared.adapters.list()
    }

    /// What was counted so far.
    pub fn counters(&self) -> CountersSnapshot {
        self.shared.counters.snapshot()
    }

    /// Whether the thread still turns.
    pub fn is_running(&self) -> bool {
        self.shared.ended.has_changed().is_ok()
    }

    /// Waits until the thread has ended, because it was told to or because it failed.
    pub async fn ended(&self) {
        let mut ended = self.shared.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Gives up all requests and ends the thread.
    pub fn stop(&self) {
        // An error means that it ended already.
        let _ = self.shared.inbox.send(Command::Stop);
    }
}
