//! `pelton engine …`: the engine's process, and a look at a model's logits.

use crate::engines::TOKEN_VARIABLE;
use crate::model_sources;
use anyhow::Context as _;
use clap::Subcommand;
use pelton_engine_server::EngineOptions;
use pelton_model::{Adapter, BaseModel, Precision};
use pelton_sources::Address;
use pelton_trainer::{Example, Preference, preference_rewards};
use std::path::PathBuf;
use std::process::ExitCode;

/// What the engine's process does.
#[derive(Subcommand)]
pub enum Command {
    /// Serve one model on a loopback port: a base with its adapters, an embedding model or a reranker.
    Serve {
        /// The model's folder, a GGUF file, `hf://ORG/NAME[@REVISION]` or `s3://BUCKET/PREFIX`.
        #[arg(long)]
        model: PathBuf,
        /// Where `hf://` and `s3://` models are downloaded to; `~/.cache/pelton` without.
        #[arg(long, env = "PELTON_CACHE")]
        cache: Option<PathBuf>,
        /// The name under which callers ask for the base.
        #[arg(long)]
        name: String,
        /// `f32`, `f16`, `q8_0`, `q6_k`, `q4_k` or `q4_k_m`.
        #[arg(long, default_value_t)]
        quantization: Precision,
        /// Threads that compute.
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Sequences that decode together.
        #[arg(long, default_value_t = 64)]
        max_batch: usize,
        /// Requests that may wait.
        #[arg(long, default_value_t = 512)]
        max_waiting: usize,
        /// Tokens that the key-value cache holds.
        #[arg(long, default_value_t = 65_536)]
        kv_tokens: usize,
        /// Tokens that a step guesses at most; -1 decides by the model's size.
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        speculative_tokens: i64,
        /// `pretty` or `json`.
        #[arg(long, default_value = "pretty")]
        log_format: String,
        /// What is logged.
        #[arg(long, default_value = "info")]
        log_filter: String,
    },
    /// Print the logits that serving computes after each prefix of a few tokens, as JSON.
    Logits {
        /// The model's folder, or a GGUF file.
        #[arg(long)]
        model: PathBuf,
        /// A PEFT adapter's folder.
        #[arg(long)]
        adapter: Option<PathBuf>,
        /// `f32`, `f16`, `q8_0`, `q6_k`, `q4_k` or `q4_k_m`.
        #[arg(long, default_value_t)]
        quantization: Precision,
        /// The tokens.
        #[arg(long, value_delimiter = ',', default_value = "1,5,9,42,17,300,8,77,120,33")]
        tokens: Vec<u32>,
    },
    /// Print how an adapter ranks preference pairs, as JSON: the mean loss and the rewards of each pair.
    Rewards {
        /// The model's folder.
        #[arg(long)]
        model: PathBuf,
        /// The PEFT adapter's folder.
        #[arg(long)]
        adapter: PathBuf,
        /// A JSON file: a list of pairs of `prompt`, `chosen` and `rejected`, token ids each.
        #[arg(long)]
        pairs: PathBuf,
        /// How strongly the model is held to the base.
        #[arg(long, default_value_t = 0.1)]
        beta: f64,
    },
}

/// Runs the command.
pub fn serve(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve {
            model,
            cache,
            name,
            quantization,
            threads,
            max_batch,
            max_waiting,
            kv_tokens,
            speculative_tokens,
            log_format,
            log_filter,
        } => {
            let format = if log_format == "json" {
                pelton_telemetry::LogFormat::Json
            } else {
                pelton_telemetry::LogFormat::Pretty
            };
            pelton_telemetry::init(format, &log_filter)?;
            let runtime = crate::runtime(1)?;
            let model = runtime.block_on(on_disk(model, cache))?;
            let mut options = EngineOptions::new(model);
            options.served_name = name;
            options.quantization = quantization;
            options.threads = threads;
            options.max_batch = max_batch;
            options.max_waiting = max_waiting;
            options.kv_tokens = kv_tokens;
            options.speculative_tokens = usize::try_from(speculative_tokens).ok();
            options.token = Some(token()?);
            runtime.block_on(pelton_engine_server::serve(options))?;
        }
        Command::Logits { model, adapter, quantization, tokens } => {
            print_logits(&model, adapter, quantization, &tokens)?;
        }
        Command::Rewards { model, adapter, pairs, beta } => {
            print_rewards(&model, &adapter, &pairs, beta)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of a model, which is downloaded where it lies elsewhere.
async fn on_disk(model: PathBuf, cache: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let address = model.to_str().map(Address::parse).transpose()?;
    match address.filter(Address::is_remote) {
        Some(address) => {
            let cache = cache.unwrap_or_else(model_sources::default_cache);
            Ok(model_sources::download(&address, &cache).await?.folder)
        }
        None => Ok(model),
    }
}

#[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
fn token() -> anyhow::Result<String> {
    std::env::var(TOKEN_VARIABLE)
        .with_context(|| format!("{TOKEN_VARIABLE} is not set: `pelton up` starts engines"))
}

#[expect(clippy::print_stdout, reason = "the logits are the command's answer")]
fn print_logits(
    model: &std::path::Path,
    adapter: Option<PathBuf>,
    precision: Precision,
    tokens: &[u32],
) -> anyhow::Result<()> {
    let model = pelton_model::open_model(model)?;
    let adapter = adapter.map(|folder| Adapter::load(&folder, model.config())).transpose()?;
    let decoder = pelton_scheduler::Decoder::new(model.as_ref(), precision)?;
    let logits = pelton_scheduler::logits(&decoder, adapter.as_ref(), tokens)?;
    let rows: Vec<&[f32]> = logits.chunks(model.config().vocab_size).collect();
    let prefixes: Vec<&[u32]> = (1..=tokens.len()).map(|length| &tokens[..length]).collect();
    println!("{}", serde_json::json!({ "tokens": prefixes, "logits": rows }));
    Ok(())
}

#[derive(serde::Deserialize)]
struct TokenPair {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
}

#[expect(clippy::print_stdout, reason = "the rewards are the command's answer")]
fn print_rewards(
    model: &std::path::Path,
    adapter: &std::path::Path,
    pairs: &std::path::Path,
    beta: f64,
) -> anyhow::Result<()> {
    let model = BaseModel::load(model)?;
    let adapter = Adapter::load(adapter, model.config())?;
    let text = std::fs::read(pairs).with_context(|| format!("cannot read {}", pairs.display()))?;
    let pairs: Vec<TokenPair> = serde_json::from_slice(&text)?;
    let pairs: Vec<Preference> = pairs
        .iter()
        .map(|TokenPair { prompt, chosen, rejected }| Preference {
            chosen: Example::answer_only(prompt, chosen),
            rejected: Example::answer_only(prompt, rejected),
        })
        .collect();
    let (loss, rewards) = preference_rewards(&model, &adapter, &pairs, beta)?;
    println!("{}", serde_json::json!({ "loss": loss, "rewards": rewards }));
    Ok(())
}
