//! Tokens per second of the engine on a random model of pelton-tiny's shape, or of a model folder.
//!
//! `cargo run --release -p pelton-scheduler --example throughput -- [folder] [f32|q8_0]`
//!
//! Each line is a JSON object: prompts of 250 tokens (no two share a prefix) with 32 tokens of answer,
//! at a concurrency of 1 and of 64, and the same with a LoRA adapter of rank 8 on half of the requests.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, Precision, Projection};
use pelton_scheduler::{Decoder, Event, GenerateRequest, Limits, Sampling, Scheduler};
use pelton_tokens::{TextCodec, write_byte_tokenizer};

const PROMPT: usize = 250;
const ANSWER: usize = 32;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let precision = if arguments.iter().any(|argument| argument == "q8_0") {
        Precision::Q8_0
    } else {
        Precision::F32
    };
    let folder = arguments.iter().find(|argument| Path::new(argument).is_dir());
    let tokenizer = tempfile::tempdir()?;
    let (model, codec) = match folder {
        Some(folder) => (BaseModel::load(Path::new(folder))?, TextCodec::load(Path::new(folder))?),
        None => {
            write_byte_tokenizer(tokenizer.path())?;
            let config = DecoderConfig::small(2048, 160, 448, 6, 5, 5);
            (BaseModel::initialize(config, 1)?, TextCodec::load(tokenizer.path())?)
        }
    };
    let adapter = adapter(&model)?;
    let decoder = Decoder::new(&model, precision)?;
    let scheduler = Scheduler::start(decoder, Arc::new(codec), Limits::default())?;
    scheduler.load_adapter("half", adapter.path(), false)?;
    let vocabulary = model.config().vocab_size as u32;
    let mut out = std::io::stdout().lock();
    for (concurrency, requests, adapters) in [(1, 24, false), (64, 640, false), (64, 640, true)] {
        let started = Instant::now();
        run(&scheduler, concurrency, requests, adapters, vocabulary)?;
        let seconds = started.elapsed().as_secs_f64();
        let rate = |tokens: usize| (tokens as f64 / seconds).round();
        let generated = rate(requests * ANSWER);
        let all = rate(requests * (ANSWER + PROMPT));
        writeln!(
            out,
            "{{\"concurrency\":{concurrency},\"adapters\":{adapters},\"requests\":{requests},\
             \"seconds\":{seconds:.2},\"requests_per_s\":{:.1},\"generated_tokens_per_s\":{generated},\
             \"all_tokens_per_s\":{all}}}",
            requests as f64 / seconds
        )?;
    }
    Ok(())
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
            let salt = number as u32 * 7919 + u32::from(adapters) + concurrency as u32 * 104_729;
            let prompt = (0..PROMPT as u32)
                .map(|at| (salt.wrapping_mul(31).wrapping_add(at * at * 17)) % vocabulary)
                .collect();
            running.push_back(scheduler.submit(GenerateRequest {
                prompt,
                adapter: (adapters && number % 2 == 0).then(|| "half".to_owned()),
                max_tokens: Some(ANSWER),
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
