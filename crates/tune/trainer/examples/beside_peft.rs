//! The trainer's side of `cargo xtask bench tune`: the speed, memory and losses of a short LoRA run.
//!
//! `beside_peft make FOLDER` writes a random model of Qwen2.5-0.5B's shape; `beside_peft data MODEL FOLDER
//! STEPS TOKENS LENGTHS` writes the batches and the adapter that both sides begin with; `beside_peft train
//! MODEL FOLDER STEPS TOKENS LENGTHS THREADS PRECISION` trains and prints one JSON object. LENGTHS is `chat`
//! (different lengths, the loss on the last third) or `even` (all alike, the loss on every token).

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, Projection};
use pelton_trainer::{
    Base, Decay, Example, ExampleSource, Method, QuantizedBase, RunLength, Schedule, TrainConfig,
    TrainData, train,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const RANK: usize = 16;
const SEED: u64 = 7;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", folder] => make_model(Path::new(folder)),
        ["data", model, folder, steps, tokens, lengths] => {
            let model = DecoderConfig::load(Path::new(model))?;
            let batches = Batches::new(&model, steps, tokens, lengths)?;
            write_data(&model, Path::new(folder), &batches)
        }
        ["train", model, folder, steps, tokens, lengths, threads, precision] => {
            let shape = DecoderConfig::load(Path::new(model))?;
            let batches = Batches::new(&shape, steps, tokens, lengths)?;
            measure(Path::new(model), Path::new(folder), batches, threads.parse()?, precision)
        }
        _ => Err("usage: beside_peft make FOLDER, data MODEL FOLDER STEPS TOKENS LENGTHS, or \
                  train MODEL FOLDER STEPS TOKENS LENGTHS THREADS PRECISION"
            .into()),
    }
}

fn make_model(folder: &Path) -> Result<(), Failure> {
    let config = DecoderConfig::qwen2_5(896, 4_864, 24, 14);
    Ok(BaseModel::initialize(config, 1)?.save(folder)?)
}

/// Steps of about as many tokens each.
struct Batches {
    steps: u64,
    tokens: usize,
    even: bool,
    vocabulary: u64,
}

impl Batches {
    fn new(
        model: &DecoderConfig,
        steps: &str,
        tokens: &str,
        lengths: &str,
    ) -> Result<Self, Failure> {
        Ok(Self {
            steps: steps.parse()?,
            tokens: tokens.parse()?,
            even: lengths == "even",
            vocabulary: model.vocab_size as u64,
        })
    }

    /// The examples of each step, by the rule of the trainer's streams.
    fn list(&self) -> Vec<Vec<Example>> {
        let mut index = 0;
        let mut step = || {
            let (mut examples, mut tokens) = (Vec::new(), 0);
            while tokens < self.tokens {
                let example = self.example(index, 0);
                tokens += example.tokens.len();
                examples.push(example);
                index += 1;
            }
            examples
        };
        (0..self.steps).map(|_| step()).collect()
    }
}

impl ExampleSource for Batches {
    /// Tokens that follow a rule, so that there is something to learn: all answers are of sixteen tokens.
    fn example(&self, index: u64, _tokens_seen: u64) -> Example {
        let noise = |place: u64| {
            let bits = (index * 4_099 + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
        };
        let length = if self.even { 128 } else { 48 + noise(1_000_000) % 208 };
        let prompt = if self.even { 1 } else { length - length / 3 };
        let token = |place: u64| match place < prompt {
            true => (noise(place) % self.vocabulary) as u32,
            false => (noise(place) % 16 * 31 + 5) as u32,
        };
        let tokens: Vec<u32> = (0..length).map(token).collect();
        Example::answer_only(&tokens[..prompt as usize], &tokens[prompt as usize..])
    }
}

fn write_data(model: &DecoderConfig, folder: &Path, batches: &Batches) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let steps: Vec<_> = batches
        .list()
        .iter()
        .map(|step| {
            let of = |example: &Example| {
                let prompt = example.loss_weights.iter().filter(|weight| **weight == 0.0).count();
                json!({ "tokens": example.tokens, "prompt": prompt })
            };
            step.iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    std::fs::write(folder.join("batches.json"), serde_json::to_vec(&steps)?)?;
    let config = AdapterConfig {
        rank: RANK,
        alpha: 2.0 * RANK as f64,
        rank_stabilized: false,
        targets: Projection::ALL.to_vec(),
        base_model: String::new(),
    };
    Ok(Adapter::initialize(config, model, SEED)?.save(&folder.join("adapter"))?)
}

fn measure(
    model: &Path,
    folder: &Path,
    batches: Batches,
    threads: usize,
    precision: &str,
) -> Result<(), Failure> {
    let started = Instant::now();
    let (dense, rounded);
    let base = if precision == "q8_0" {
        rounded = QuantizedBase::load(model)?;
        Base::from(&rounded)
    } else {
        dense = BaseModel::load(model)?;
        Base::from(&dense)
    };
    let loading = started.elapsed().as_secs_f64();
    let config = TrainConfig {
        method: Method::Lora {
            rank: RANK,
            alpha: 2.0 * RANK as f64,
            targets: Projection::ALL.to_vec(),
            rank_stabilized: false,
        },
        learning_rate: 1e-3,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant, hold: 0.0 },
        batch_tokens: batches.tokens,
        length: RunLength::Steps(batches.steps),
        seed: SEED,
        threads,
        checkpoint_interval: 0,
        ..TrainConfig::default()
    };
    let data = TrainData::stream(Arc::new(batches), Vec::new());
    let (mut losses, mut seconds, mut tokens, mut before) = (Vec::new(), 0.0, 0, 0);
    train(base, &data, &config, &folder.join("none"), &mut |progress| {
        losses.push(progress.loss);
        let these = progress.tokens - before;
        before = progress.tokens;
        // The first step makes the buffers.
        if progress.step > 1 {
            seconds += these as f64 / progress.tokens_per_s;
            tokens += these;
        }
        ControlFlow::Continue(())
    })?;
    let report = json!({
        "losses": losses,
        "tokens_per_s": tokens as f64 / seconds,
        "loading_s": loading,
        "peak_mib": peak_mib()?,
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// Most memory that the process has had, in MiB.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
