//! The engine's side of `cargo xtask bench engine`: speed on a model folder, and the logits that it computes.
//!
//! `beside_llama_cpp write SHAPE PRECISION FILE` writes a random model of Qwen2.5's shape `0.5b` or `1.5b` as GGUF
//! without a vocabulary; `beside_llama_cpp MODEL PRECISION THREADS PROMPT ANSWER SEQUENCES` prints one JSON
//! object. Prompts are those of `bench/llama_peer.py`; without SEQUENCES, one alone is timed.

use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pelton_kernels::blocks::BlockFormat;
use pelton_model::{
    Adapter, AdapterConfig, DecoderConfig, GgufValue, ModelError, Precision, Projection,
    SeededNormal, WeightSource, open_model, quantize_to_gguf,
};
use pelton_scheduler::{Completion, Decoder, Event, GenerateRequest, Limits, Sampling, Scheduler};
use pelton_tokens::{TextCodec, write_byte_tokenizer};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [write, shape, precision, file] if write == "write" => {
            write_gguf(&RandomModel::new(shape)?, precision.parse()?, Path::new(file))
        }
        [model, precision, rest @ ..] if rest.len() == 4 => {
            let numbers: Vec<usize> =
                rest.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
            let (model, precision) = (Path::new(model), precision.parse()?);
            measure(model, precision, numbers[0], numbers[1], numbers[2], numbers[3])
        }
        _ => Err(
            "usage: beside_llama_cpp write 0.5b|1.5b PRECISION FILE, or MODEL PRECISION THREADS \
                 PROMPT ANSWER SEQUENCES"
                .into(),
        ),
    }
}

/// Random weights that are made as they are read, so that they never are in memory together. Each row of a
/// tensor is the same whenever it is read.
struct RandomModel {
    config: DecoderConfig,
}

impl RandomModel {
    fn new(shape: &str) -> Result<Self, Failure> {
        let config = match shape {
            "0.5b" => DecoderConfig::qwen2_5(896, 4_864, 24, 14),
            "1.5b" => DecoderConfig::qwen2_5(1_536, 8_960, 28, 12),
            other => return Err(format!("the shape is 0.5b or 1.5b, not {other}").into()),
        };
        Ok(Self { config })
    }
}

impl WeightSource for RandomModel {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn block_format(&self, _name: &str) -> Option<BlockFormat> {
        None
    }

    fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError> {
        if name.ends_with("norm.weight") {
            out.fill(1.0);
            return Ok(());
        }
        // As models begin: what writes into the residual stream is smaller.
        let writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let layers = self.config.num_hidden_layers as f64;
        let deviation = if writes { 0.02 / (2.0 * layers).sqrt() } else { 0.02 };
        let name = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let width = out.len() / rows.len().max(1);
        for (row, out) in rows.zip(out.chunks_mut(width.max(1))) {
            let mut normal =
                SeededNormal::new(name.wrapping_add(row as u64).wrapping_mul(0x9E37_79B9));
            out.fill_with(|| (normal.draw() * deviation) as f32);
        }
        Ok(())
    }
}

fn write_gguf(model: &RandomModel, precision: Precision, file: &Path) -> Result<(), Failure> {
    let without = vec![("tokenizer.ggml.model".to_owned(), GgufValue::Text("none".to_owned()))];
    quantize_to_gguf(model, precision, "random", without, file, &mut |_, _| {})?;
    Ok(())
}

fn measure(
    model: &Path,
    precision: Precision,
    threads: usize,
    prompt: usize,
    answer: usize,
    sequences: usize,
) -> Result<(), Failure> {
    let decoder = Decoder::new(open_model(model)?.as_ref(), precision)?;
    let config = decoder.config().clone();
    let vocabulary = config.vocab_size;
    let loaded = peak_mib()?;
    let prompt_tokens = tokens(0, prompt, vocabulary);
    let last = pelton_scheduler::last_logits(&decoder, None, &prompt_tokens, 1)?;
    let best = (0..vocabulary).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap_or(0);
    let weights = decoder.weight_bytes() as f64 / 1048576.0;
    // Guessing would flatter: a random model repeats itself.
    let limits = Limits { threads, guessed_tokens: Some(0), ..Limits::default() };
    let scheduler = Scheduler::start(decoder, byte_codec()?, limits)?;
    run(&scheduler, &[tokens(99, 16, vocabulary)], 1)?;

    // No other prompt shares a prefix with one that was read before; this one's is there when the answer
    // is timed.
    let asked = [tokens(0, prompt, vocabulary)];
    let (prefill, _) = timed(|| run(&scheduler, &asked, 1))?;
    let (first, _) = timed(|| run(&scheduler, &asked, 1))?;
    let (whole, done) = timed(|| run(&scheduler, &asked, answer + 1))?;
    let peak_alone = peak_mib()?;
    let mut report = json!({
        "prefill_tokens_per_s": prompt as f64 / prefill,
        "decode_tokens_per_s": answer as f64 / (whole - first),
        "loaded_mb": loaded, "weights_mb": weights, "rss_mb": peak_alone,
        "first_token": best, "served_token": done[0].tokens[0], "first_logits": last[..64],
    });
    if sequences > 0 {
        let all: Vec<_> =
            (1..=sequences).map(|sequence| tokens(sequence, prompt, vocabulary)).collect();
        let (together, _) = timed(|| run(&scheduler, &all, answer))?;
        report["together_tokens_per_s"] = json!((sequences * (prompt + answer)) as f64 / together);
        report["rss_mb"] = json!(peak_mib()?);
        let others: Vec<_> =
            (1..=sequences).map(|sequence| tokens(50 + sequence, prompt, vocabulary)).collect();
        let (on_base, _) = timed(|| run(&scheduler, &others, answer))?;
        load_adapters(&scheduler, &config, sequences)?;
        let named: Vec<_> =
            others.iter().enumerate().map(|(at, prompt)| (Some(at), prompt)).collect();
        let (on_adapters, _) = timed(|| run_named(&scheduler, &named, answer))?;
        report["adapters_vs_base"] = json!(on_base / on_adapters);
        let first_tokens = first_tokens_under_load(&scheduler, sequences, vocabulary)?;
        let ttft = first_tokens[first_tokens.len() * 95 / 100].as_secs_f64() * 1e3;
        report["ttft_p95_ms"] = json!(ttft);
    }
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// The model's tokens are numbers to this benchmark; any tokenizer will do.
fn byte_codec() -> Result<Arc<TextCodec>, Failure> {
    let folder = tempfile::tempdir()?;
    write_byte_tokenizer(folder.path())?;
    Ok(Arc::new(TextCodec::load(folder.path())?))
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
    let on_base: Vec<_> = prompts.iter().map(|prompt| (None, prompt)).collect();
    run_named(scheduler, &on_base, answer)
}

fn request(prompt: &[u32], answer: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: prompt.to_vec(),
        max_tokens: Some(answer),
        ignore_eos: true,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        ..GenerateRequest::default()
    }
}

/// Runs prompts at once, each on an adapter or on the base.
fn run_named(
    scheduler: &Scheduler,
    prompts: &[(Option<usize>, &Vec<u32>)],
    answer: usize,
) -> Result<Vec<Completion>, Failure> {
    let mut running = Vec::new();
    for (adapter, prompt) in prompts {
        let adapter = adapter.map(|number| number.to_string());
        running.push(scheduler.submit(GenerateRequest { adapter, ..request(prompt, answer) })?);
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

/// Loads adapters of rank 16 on all linear layers, named by number.
fn load_adapters(
    scheduler: &Scheduler,
    config: &DecoderConfig,
    count: usize,
) -> Result<(), Failure> {
    let saved = tempfile::tempdir()?;
    for number in 0..count {
        let adapter = AdapterConfig {
            rank: 16,
            alpha: 16.0,
            rank_stabilized: false,
            targets: Projection::ALL.to_vec(),
            base_model: "random".to_owned(),
        };
        let mut adapter = Adapter::initialize(adapter, config, number as u64)?;
        for (_, pair) in adapter.pairs_mut() {
            pair.b.iter_mut().enumerate().for_each(|(at, b)| *b = (at % 7) as f32 * 1e-3);
        }
        let folder = saved.path().join(number.to_string());
        adapter.save(&folder)?;
        scheduler.load_adapter(&number.to_string(), &folder, false)?;
    }
    Ok(())
}

/// The time to the first token of prompts of 128 tokens, one after another, while `sequences` answers
/// are being written; sorted.
fn first_tokens_under_load(
    scheduler: &Scheduler,
    sequences: usize,
    vocabulary: usize,
) -> Result<Vec<Duration>, Failure> {
    let streaming = |sequence, prompt, answer| GenerateRequest {
        stream: true,
        ..request(&tokens(sequence, prompt, vocabulary), answer)
    };
    let mut load = Vec::new();
    for sequence in 0..sequences {
        load.push(scheduler.submit(streaming(200 + sequence, 64, 2_000))?);
    }
    let mut times = Vec::new();
    for sequence in 0..20 {
        let begun = Instant::now();
        // It is over with its first token: a text may wait for more.
        let mut events = scheduler.submit(streaming(300 + sequence, 128, 1))?;
        events.blocking_recv().ok_or("the engine stopped")?;
        times.push(begun.elapsed());
    }
    if scheduler.counters().running < sequences {
        return Err("the answers were over before the last prompt".into());
    }
    times.sort_unstable();
    Ok(times)
}

/// Most memory that the process has had, in MiB.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
