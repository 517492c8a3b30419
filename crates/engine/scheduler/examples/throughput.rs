//! Tokens per second of the engine on a random model of pelton-tiny's shape, of Qwen2.5-0.5B's (`0.5b`), or of
//! a model folder.
//!
//! `cargo run --release -p pelton-scheduler --example throughput -- [folder|0.5b] [f32|q8_0] [threads=2]`
//!
//! Each line is a JSON object: prompts of 250 tokens (no two share a prefix) with 32 tokens of answer,
//! at a concurrency of 1 and of 64 (8 with `0.5b`), and the same with a LoRA adapter of rank 8 on half of the
//! requests; and prompts alone (`"answer":1`), for the speed of reading.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, Precision, Projection};
use pelton_scheduler::{Decoder, Event, GenerateRequest, Limits, Sampling, Scheduler};
use pelton_tokens::{TextCodec, write_byte_tokenizer};

const PROMPT: usize = 250;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let precision = if arguments.iter().any(|argument| argument == "q8_0") {
        Precision::Q8_0
    } else {
        Precision::F32
    };
    let folder = arguments.iter().find(|argument| Path::new(argument).is_dir());
    let large = arguments.iter().any(|argument| argument == "0.5b");
    let threads = arguments.iter().find_map(|argument| argument.strip_prefix("threads="));
    let tokenizer = tempfile::tempdir()?;
    let (model, codec) = match folder {
        Some(folder) => (BaseModel::load(Path::new(folder))?, TextCodec::load(Path::new(folder))?),
        None => {
            write_byte_tokenizer(tokenizer.path())?;
            let config = if large {
                half_a_billion()
            } else {
                DecoderConfig::small(2048, 160, 448, 6, 5, 5)
            };
            (BaseModel::initialize(config, 1)?, TextCodec::load(tokenizer.path())?)
        }
    };
    let adapter = adapter(&model)?;
    let vocabulary = model.config().vocab_size as u32;
    let decoder = Decoder::new(&model, precision)?;
    drop(model);
    let mut limits = Limits::default();
    if let Some(threads) = threads {
        limits.threads = threads.parse()?;
    }
    let scheduler = Scheduler::start(decoder, Arc::new(codec), limits)?;
    scheduler.load_adapter("half", adapter.path(), false)?;
    let mut out = std::io::stdout().lock();
    let (many, requests) = if large { (8, 16) } else { (64, 640) };
    for (concurrency, requests, answer, adapters) in [
        (1, if large { 4 } else { 24 }, 1, false),
        (1, if large { 4 } else { 24 }, 32, false),
        (many, requests, 32, false),
        (many, requests, 32, true),
    ] {
        let started = Instant::now();
        run(&scheduler, concurrency, requests, answer, adapters, vocabulary)?;
        let seconds = started.elapsed().as_secs_f64();
        let rate = |tokens: usize| (tokens as f64 / seconds).round();
        let generated = rate(requests * answer);
        let all = rate(requests * (answer + PROMPT));
        writeln!(
            out,
            "{{\"concurrency\":{concurrency},\"answer\":{answer},\"adapters\":{adapters},\"requests\":{requests},\
             \"seconds\":{seconds:.2},\"requests_per_s\":{:.1},\"generated_tokens_per_s\":{generated},\
             \"all_tokens_per_s\":{all}}}",
            requests as f64 / seconds
        )?;
    }
    Ok(())
}

/// The shape of Qwen2.5-0.5B.
fn half_a_billion() -> DecoderConfig {
    DecoderConfig::qwen2_5(896, 4_864, 24, 14)
}

fn adapter(model: &BaseModel) -> Result<tempfile::TempDir, Failure> {
    let config = AdapterConfig {
        rank: 8,
        alpha: 16.0,
        rank_stabilized: false,
        targets: Projection::ALL.to_vec(),
        base_model: "random".to_owned(),
    };
    let folder = tempfile::tempdir()?;
    Adapter::initialize(config, model.config(), 1)?.save(folder.path())?;
    Ok(folder)
}

/// Keeps `concurrency` requests in flight until `requests` are done.
fn run(
    scheduler: &Scheduler,
    concurrency: usize,
    requests: usize,
    answer: usize,
    adapters: bool,
    vocabulary: u32,
) -> Result<(), Failure> {
    let mut running = std::collections::VecDeque::new();
    for number in 0..requests + concurrency {
        if number >= concurrency {
            let Some(events) = running.pop_front() else { break };
            wait(events)?;
        }
        if number < requests {
            let salt = number as u32 * 7919
                + u32::from(adapters)
                + concurrency as u32 * 104_729
                + answer as u32 * 1_299_709;
            let prompt = (0..PROMPT as u32)
                .map(|at| (salt.wrapping_mul(31).wrapping_add(at * at * 17)) % vocabulary)
                .collect();
            running.push_back(scheduler.submit(GenerateRequest {
                prompt,
                adapter: (adapters && number % 2 == 0).then(|| "half".to_owned()),
                max_tokens: Some(answer),
                ignore_eos: true,
                sampling: Sampling { temperature: 0.0, ..Sampling::default() },
                ..GenerateRequest::default()
            })?);
        }
    }
    Ok(())
}

fn wait(mut events: tokio::sync::mpsc::UnboundedReceiver<Event>) -> Result<(), Failure> {
    while let Some(event) = events.blocking_recv() {
        if matches!(event, Event::Done(_)) {
            return Ok(());
        }
    }
    Err("the engine stopped".into())
}
