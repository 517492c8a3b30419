//! The trainer beside PyTorch with PEFT: LoRA on the same weights, the same batches and the same first adapter,
//! F32, the same threads, taking turns.

use super::Check;
use super::programs::{example, finished, object, python};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model with the batches that it is trained on.
struct Workload {
    name: &'static str,
    model: PathBuf,
    steps: u32,
    tokens: u32,
    /// `chat`: different lengths, the loss on answers; `even`: all alike, the loss everywhere.
    lengths: &'static str,
    trials: usize,
}

pub fn run(root: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let folder = root.join(".build/bench-tune");
    let trainer = example(root, "beside_peft")?;
    let large = folder.join("model");
    if !large.join("model.safetensors").exists() {
        std::fs::create_dir_all(&large)?;
        finished(Command::new(&trainer).arg("make").arg(&large), "making the model")?;
    }
    let requirements = root.join("bench/requirements-tune.txt").display().to_string();
    let python = python(
        &folder.join("python"),
        "torch, transformers, peft",
        "installing PyTorch (about 2.3 GB)",
        &[&["--no-deps", "-r", &requirements]],
    )?;
    let tiny = root.join("models/pelton-tiny");
    let workload = |name, model: &Path, steps, tokens, lengths, trials| Workload {
        name,
        model: model.to_owned(),
        steps,
        tokens,
        lengths,
        trials,
    };
    let compare = |workload: Workload| compare(root, &folder, &trainer, &python, &workload);
    let chat = compare(workload("chat", &large, 3, 1_024, "chat", 1))?;
    let even = compare(workload("even", &large, 2, 1_024, "even", 1))?;
    let tiny_chat = compare(workload("tiny-chat", &tiny, 40, 2_048, "chat", 3))?;
    let tiny_even = compare(workload("tiny-even", &tiny, 40, 2_048, "even", 3))?;
    let rounded = train(&trainer, &folder, &workload("chat", &large, 3, 1_024, "chat", 1), "q8_0")?;
    let q8_gap = loss_gap(&rounded, &chat.own)?;
    let checks = vec![
        Check::at_least("train_tokens_vs_peft", chat.ratio("tokens_per_s")?, "", 2.0),
        Check::at_most("train_memory_vs_peft", chat.ratio("peak_mib")?, "", 0.6),
        Check::at_most("train_loss_gap", chat.gap, "nats", 0.02),
        Check::at_least("train_tokens_vs_peft_tiny", tiny_chat.ratio("tokens_per_s")?, "", 2.0),
        Check::at_most("train_memory_vs_peft_tiny", tiny_chat.ratio("peak_mib")?, "", 0.6),
        Check::at_most("train_loss_gap_tiny", tiny_chat.gap, "nats", 0.02),
        Check::reported("train_tokens_vs_peft_even", even.ratio("tokens_per_s")?, ""),
        Check::reported("train_tokens_vs_peft_even_tiny", tiny_even.ratio("tokens_per_s")?, ""),
        Check::reported("train_q8_0_peak_mib", number(&rounded, "peak_mib")?, "MiB"),
        Check::at_most("train_q8_0_loss_gap", q8_gap, "nats", 0.05),
    ];
    let raw = json!({
        "chat": chat.raw(), "even": even.raw(), "tiny_chat": tiny_chat.raw(),
        "tiny_even": tiny_even.raw(), "q8_0": rounded,
    });
    Ok((checks, raw))
}

/// Both sides' median trial by speed, and the largest distance of their losses.
struct Comparison {
    own: Value,
    theirs: Value,
    gap: f64,
}

impl Comparison {
    fn ratio(&self, name: &str) -> anyhow::Result<f64> {
        Ok(number(&self.own, name)? / number(&self.theirs, name)?)
    }

    fn raw(&self) -> Value {
        json!({ "pelton": self.own, "peft": self.theirs, "loss_gap": self.gap })
    }
}

fn compare(
    root: &Path,
    folder: &Path,
    trainer: &Path,
    python: &Path,
    workload: &Workload,
) -> anyhow::Result<Comparison> {
    let data = folder.join(workload.name);
    let mut command = Command::new(trainer);
    command.arg("data").arg(&workload.model).arg(&data).args(workload.numbers());
    finished(&mut command, "writing the batches")?;
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..workload.trials {
        own.push(train(trainer, folder, workload, "f32")?);
        let mut peer = Command::new(python);
        peer.arg(root.join("bench/peft_peer.py")).arg(&workload.model).arg(&data);
        theirs.push(object(peer.arg(threads().to_string()), "PEFT")?);
    }
    let (own, theirs) = (median(own)?, median(theirs)?);
    let gap = loss_gap(&own, &theirs)?;
    let first = (loss(&own, 0)? - loss(&theirs, 0)?).abs();
    anyhow::ensure!(
        first < 1e-3,
        "the two do not compute the same: their first losses differ by {first}"
    );
    Ok(Comparison { own, theirs, gap })
}

impl Workload {
    fn numbers(&self) -> [String; 3] {
        [self.steps.to_string(), self.tokens.to_string(), self.lengths.to_owned()]
    }
}

fn train(
    trainer: &Path,
    folder: &Path,
    workload: &Workload,
    precision: &str,
) -> anyhow::Result<Value> {
    let mut command = Command::new(trainer);
    command.arg("train").arg(&workload.model).arg(folder.join(workload.name));
    command.args(workload.numbers()).arg(threads().to_string()).arg(precision);
    object(&mut command, "the trainer")
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The largest distance of the losses, step by step.
fn loss_gap(a: &Value, b: &Value) -> anyhow::Result<f64> {
    let steps = a["losses"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(
        steps > 0 && Some(steps) == b["losses"].as_array().map(Vec::len),
        "the two did not make the same number of steps"
    );
    (0..steps).try_fold(0.0_f64, |most, at| Ok(most.max((loss(a, at)? - loss(b, at)?).abs())))
}

fn loss(of: &Value, step: usize) -> anyhow::Result<f64> {
    of["losses"][step].as_f64().with_context(|| format!("there is no loss of step {step}"))
}

fn number(of: &Value, name: &str) -> anyhow::Result<f64> {
    of[name].as_f64().with_context(|| format!("there is no {name}"))
}

fn median(mut trials: Vec<Value>) -> anyhow::Result<Value> {
    trials.sort_by(|a, b| {
        let speed = |trial: &Value| trial["tokens_per_s"].as_f64().unwrap_or(0.0);
        speed(a).total_cmp(&speed(b))
    });
    let middle = trials.len() / 2;
    trials.into_iter().nth(middle).context("there are no trials")
}
