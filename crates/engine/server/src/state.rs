//! What all handlers share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pelton_constrain::{Compiler, Constraint, Grammar};
use pelton_context::{Clock, SystemClock};
use pelton_model::open_model;
use pelton_scheduler::{Decoder, Sampling, Scheduler};
use pelton_supervise::free_memory;

use crate::error::ApiError;
use crate::generation_defaults::generation_defaults;
use crate::gguf_text::load_codec;
use crate::memory::{check_weights, fit};
use crate::tool_format::ToolFormat;
use crate::{EngineOptions, ServeError};

/// The engine behind the router; clones are cheap.
#[derive(Clone)]
pub(crate) struct EngineState {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) scheduler: Scheduler,
    pub(crate) served_name: String,
    pub(crate) model_dir: PathBuf,
    pub(crate) adapter_root: Option<PathBuf>,
    pub(crate) defaults: Sampling,
    /// Made for the first answer that needs it; absent where the tokenizer has no end-of-text token.
    compiler: OnceLock<Option<Compiler>>,
    /// How this model writes calls of tools.
    pub(crate) tool_format: ToolFormat,
    pub(crate) token: Option<Arc<str>>,
    pub(crate) started: i64,
    clock: SystemClock,
    requests: AtomicU64,
}

impl EngineState {
    /// Loads the model and its adapters and starts the scheduler. Reads files and packs weights: not
    /// for an async thread.
    pub(crate) fn load(options: &EngineOptions) -> Result<Self, ServeError> {
        let codec = Arc::new(load_codec(&options.model_dir)?);
        let defaults = generation_defaults(&options.model_dir)?;
        let source = open_model(&options.model_dir)?;
        let weights = Decoder::needed_bytes(source.as_ref(), options.quantization)?;
        check_weights(weights, free_memory())?;
        let decoder = Decoder::new(source.as_ref(), options.quantization)?;
        let limits = fit(options.limits(), &decoder, free_memory())?;
        let tool_format = ToolFormat::of(&codec);
        let scheduler = Scheduler::start(decoder, codec, limits)?;
        for (name, folder) in &options.adapters {
            scheduler
                .load_adapter(name, folder, false)
                .map_err(|source| ServeError::Adapter { name: name.clone(), source })?;
        }
        let clock = SystemClock;
        Ok(Self {
            shared: Arc::new(Shared {
                scheduler,
                served_name: options.served_name.clone(),
                model_dir: options.model_dir.clone(),
                adapter_root: options.adapter_root.clone(),
                defaults,
                compiler: OnceLock::new(),
                tool_format,
                token: options.token.as_deref().map(Arc::from),
                started: clock.now().0 / 1_000_000,
                clock,
                requests: AtomicU64::new(0),
            }),
        })
    }

    /// Compiles the grammar that an answer must follow.
    pub(crate) async fn constraint(&self, grammar: Grammar) -> Result<Constraint, ApiError> {
        let state = self.clone();
        let compile = move || state.compiler().map(|compiler| compiler.compile(&grammar));
        let compiled = tokio::task::spawn_blocking(compile).await;
        let Some(compiled) = compiled.map_err(|_| ApiError::stopped())? else {
            let message = "this model's tokenizer names no end-of-text token, so answers cannot be constrained";
            return Err(ApiError::bad_request(
                "unsupported_parameter",
                Some("response_format"),
                message,
            ));
        };
        compiled.map_err(|error| {
            ApiError::bad_request("invalid_grammar", Some("response_format"), error.to_string())
        })
    }

    /// Builds a tree of the vocabulary when it is first asked for: not for an async thread.
    fn compiler(&self) -> Option<&Compiler> {
        let shared = &self.shared;
        let make = || {
            Compiler::new(shared.scheduler.codec(), shared.scheduler.vocab_size())
                .inspect_err(
                    |error| tracing::warn!(%error, "answers cannot be made to follow a grammar"),
                )
                .ok()
        };
        shared.compiler.get_or_init(make).as_ref()
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

    /// The adapter that a `model` field names; `None` for the base.
    pub(crate) fn adapter_of(&self, model: &str) -> Result<Option<String>, ApiError> {
        if model == self.shared.served_name {
            return Ok(None);
        }
        let adapters = self.shared.scheduler.adapters();
        if adapters.iter().any(|adapter| adapter.name == model) {
            return Ok(Some(model.to_owned()));
        }
        let mut known = vec![self.shared.served_name.clone()];
        known.extend(adapters.into_iter().map(|adapter| adapter.name));
        Err(ApiError::unknown_model(model, &known))
    }

    /// Whether adapters may be read from here.
    pub(crate) fn may_load_from(&self, folder: &Path) -> bool {
        match &self.shared.adapter_root {
            None => true,
            Some(root) => match (root.canonicalize(), folder.canonicalize()) {
                (Ok(root), Ok(folder)) => folder.starts_with(root),
                _ => false,
            },
        }
    }
}
