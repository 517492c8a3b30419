//! The engine beside llama.cpp: the same random weights of Qwen2.5-0.5B's shape in Q8_0, the same tokens, the
//! same threads, taking turns.

use super::Check;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TRIALS: usize = 3;
const PROMPT: usize = 512;
const ANSWER: usize = 32;
const SEQUENCES: usize = 8;

pub fn run(root: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let folder = root.join(".build/bench-engine");
    let (model, gguf) = (folder.join("model"), folder.join("model-q8_0.gguf"));
    let engine = build(root)?;
    if !model.join("model.safetensors").exists() {
        std::fs::create_dir_all(&model)?;
        finished(Command::new(&engine).arg("make").arg(&model), "making the model")?;
    }
    let python = peer(&folder)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers = [threads, PROMPT, ANSWER, SEQUENCES].map(|number| number.to_string());
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TRIALS {
        own.push(object(Command::new(&engine).arg(&model).args(&numbers), "the engine")?);
        let script = root.join("bench/llama_peer.py");
        let mut peer = Command::new(&python);
        theirs.push(object(peer.arg(script).arg(&model).arg(&gguf).args(&numbers), "llama.cpp")?);
    }
    let difference = verify(&own[0], &theirs[0])?;
    let ratio = |name: &str| Ok::<_, anyhow::Error>(median(&own, name)? / median(&theirs, name)?);
    let checks = vec![
        Check::at_least("decode_vs_llamacpp_q8_0", ratio("decode_tokens_per_s")?, "", 1.0),
        Check::at_least("prefill_vs_llamacpp_q8_0", ratio("prefill_tokens_per_s")?, "", 0.8),
        Check::at_least("concurrent8_vs_llamacpp", ratio("together_tokens_per_s")?, "", 1.3),
        Check::reported("rss_mb", median(&own, "rss_mb")?, "MiB"),
    ];
    let raw = json!({
        "pelton": without_logits(own), "llama_cpp": without_logits(theirs), "logit_difference": difference,
    });
    Ok((checks, raw))
}

fn build(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["build", "--release", "--locked", "--workspace"]);
    finished(cargo.args(["--example", "beside_llama_cpp"]), "building the engine")?;
    Ok(root.join("target/release/examples/beside_llama_cpp"))
}

/// A Python with llama.cpp, built from its source if it is not there.
fn peer(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let environment = folder.join("python");
    let python = environment.join("bin/python");
    let mut probe = Command::new(&python);
    if !probe
        .args(["-c", "import llama_cpp, gguf, safetensors"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        eprintln!(
            "building llama.cpp into {}: about 15 minutes on two cores",
            environment.display()
        );
        finished(
            Command::new("python3").args(["-m", "venv"]).arg(&environment),
            "a virtual environment",
        )?;
        let install = |packages: &[&str]| {
            let mut pip = Command::new(&python);
            finished(pip.args(["-m", "pip", "install", "--quiet"]).args(packages), "pip")
        };
        install(&["cmake", "ninja", "gguf", "safetensors", "numpy"])?;
        install(&["llama-cpp-python"])?;
    }
    Ok(python)
}

/// The largest difference of the first logits, as a share of the largest logit; an error where the two do not
/// compute the same.
fn verify(own: &Value, theirs: &Value) -> anyhow::Result<f64> {
    let logits = |of: &Value| -> anyhow::Result<Vec<f64>> {
        let logits = of["first_logits"].as_array().context("there are no logits")?;
        Ok(logits.iter().filter_map(Value::as_f64).collect())
    };
    let (own_logits, their_logits) = (logits(own)?, logits(theirs)?);
    let largest = their_logits.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
    let pairs = own_logits.iter().zip(&their_logits);
    let difference = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / largest;
    anyhow::ensure!(
        difference < 0.1,
        "the engines disagree: logits differ by {difference:.3} of the largest"
    );
    anyhow::ensure!(own["served_token"] == own["first_token"], "the engine serves another token");
    Ok(difference)
}

fn without_logits(mut trials: Vec<Value>) -> Vec<Value> {
    for trial in trials.iter_mut().filter_map(Value::as_object_mut) {
        trial.remove("first_logits");
    }
    trials
}

fn median(trials: &[Value], name: &str) -> anyhow::Result<f64> {
    let mut values: Vec<f64> = trials.iter().filter_map(|trial| trial[name].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().with_context(|| format!("no trial has {name}"))
}

fn object(command: &mut Command, what: &str) -> anyhow::Result<Value> {
    let output = command.output().with_context(|| format!("{what} starts"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{what} ended with {}: {told}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn finished(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{what}: it starts"))?;
    anyhow::ensure!(status.success(), "{what} ended with {status}");
    Ok(())
}
