//! The engine's side of `cargo xtask bench engine`: speed on a model folder, and the logits that it computes.
//!
//! `beside_llama_cpp make FOLDER` writes a random model of Qwen2.5-0.5B's shape;
//! `beside_llama_cpp FOLDER THREADS PROMPT ANSWER SEQUENCES` prints one JSON object. Prompts are those of
//! `bench/llama_peer.py`.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pelton_model::{BaseModel, DecoderConfig, Precision};
use pelton_scheduler::{Completion, Decoder, Event, GenerateRequest, Limits, Sampling, Scheduler};
use pelton_tokens::{TextCodec, write_byte_tokenizer};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [make, folder] if make == "make" => make_model(Path::new(folder)),
        [folder, rest @ ..] if rest.len() == 4 => {
            let numbers: Vec<usize> =
                rest.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
            measure(Path::new(folder), numbers[0], numbers[1], numbers[2], numbers[3])
        }
        _ => {
            Err("usage: beside_llama_cpp make FOLDER, or FOLDER THREADS PROMPT ANSWER SEQUENCES"
                .into())
        }
    }
}

fn make_model(folder: &Path) -> Result<(), Failure> {
    let mut config = DecoderConfig::small(151_936, 896, 4_864, 24, 14, 2);
    config.head_dim = Some(64);
    config.max_position_embeddings = 4_096;
    config.rope_theta = 1e6;
    config.rms_norm_eps = 1e-6;
    config.other.insert("model_type".to_owned(), "qwen2".into());
    let model = BaseModel::initialize(config, 1)?;
    model.save(folder)?;
    write_byte_tokenizer(folder)?;
    Ok(())
}

fn measure(
    folder: &Path,
    threads: usize,
    prompt: usize,
    answer: usize,
    sequences: usize,
) -> Result<(), Failure> {
    let model = BaseModel::load(folder)?;
    let decoder = Decoder::new(&model, Precision::Q8_0)?;
    let vocabulary = model.config().vocab_size;
    drop(model);
    let first = pelton_scheduler::logits(&decoder, None, &tokens(0, prompt, vocabulary))?;
    let last = &first[first.len() - vocabulary..];
    let best = (0..vocabulary).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap_or(0);
    let limits = Limits { threads, ..Limits::default() };
    let scheduler = Scheduler::start(decoder, Arc::new(TextCodec::load(folder)?), limits)?;
    run(&scheduler, &[tokens(99, 16, vocabulary)], 1)?;

    // No prompt shares a prefix with one that was read before.
    let (prefill, _) = timed(|| run(&scheduler, &[tokens(100, prompt, vocabulary)], 1))?;
    let (whole, done) = timed(|| run(&scheduler, &[tokens(0, prompt, vocabulary)], answer + 1))?;
    let all: Vec<_> =
        (1..=sequences).map(|sequence| tokens(sequence, prompt, vocabulary)).collect();
    let (together, _) = timed(|| run(&scheduler, &all, answer))?;
    let report = format!(
        "{{\"prefill_tokens_per_s\":{},\"decode_tokens_per_s\":{},\"together_tokens_per_s\":{},\
         \"rss_mb\":{},\"first_token\":{best},\"served_token\":{},\"first_logits\":{:?}}}",
        prompt as f64 / prefill,
        answer as f64 / (whole - prefill),
        (sequences * (prompt + answer)) as f64 / together,
        peak_mib()?,
        done[0].tokens[0],
        &last[..64],
    );
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn tokens(sequence: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    (0..length).map(|at| ((7919 * sequence + 17 * at * at + at) % vocabulary) as u32).collect()
}

fn timed<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<(f64, T), Failure> {
    let begun = Instant::now();
    let result = run()?;
    Ok((begun.elapsed().as_secs_f64(), result))
}

fn run(
    scheduler: &Scheduler,
    prompts: &[Vec<u32>],
    answer: usize,
) -> Result<Vec<Completion>, Failure> {
    let mut running = Vec::new();
    for prompt in prompts {
        running.push(scheduler.submit(GenerateRequest {
            prompt: prompt.clone(),
            max_tokens: Some(answer),
            ignore_eos: true,
            sampling: Sampling { temperature: 0.0, ..Sampling::default() },
            ..GenerateRequest::default()
        })?);
    }
    let mut done = Vec::new();
    for mut events in running {
        while let Some(event) = events.blocking_recv() {
            if let Event::Done(completion) = event {
                done.push(completion);
                break;
            }
        }
    }
    if done.len() == prompts.len() { Ok(done) } else { Err("the engine stopped".into()) }
}

/// Most memory that the process has had, in MiB.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
