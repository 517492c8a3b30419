//! The engine beside llama.cpp: the same random weights of Qwen2.5-0.5B's shape in the same GGUF files, which the
//! engine writes, the same tokens, the same threads, taking turns.

use super::programs::{example, finished, object, python};
use super::{Check, adapters, constrained};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TRIALS: usize = 3;
const PROMPT: usize = 512;
const ANSWER: usize = 32;
const SEQUENCES: usize = 8;

/// A precision and what its checks are called.
struct Precision {
    name: &'static str,
    decode: &'static str,
    prefill: &'static str,
    memory: &'static str,
    together: Option<&'static str>,
}

const Q8_0: Precision = Precision {
    name: "q8_0",
    decode: "decode_vs_llamacpp_q8_0",
    prefill: "prefill_vs_llamacpp_q8_0",
    memory: "rss_mb",
    together: Some("concurrent8_vs_llamacpp"),
};

const Q4_K_M: Precision = Precision {
    name: "q4_k_m",
    decode: "decode_vs_llamacpp_q4_k_m",
    prefill: "prefill_vs_llamacpp_q4_k_m",
    memory: "rss_mb_q4_k_m",
    together: None,
};

pub fn run(root: &Path, data: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let folder = root.join(".build/bench-engine");
    let model = folder.join("model");
    let engine = example(root, "beside_llama_cpp")?;
    if !model.join("model.safetensors").exists() {
        std::fs::create_dir_all(&model)?;
        finished(Command::new(&engine).arg("make").arg(&model), "making the model")?;
    }
    let python = python(
        &folder.join("python"),
        "llama_cpp, numpy",
        "building llama.cpp (about 15 minutes on two cores)",
        &[&["cmake", "ninja", "numpy"], &["llama-cpp-python"]],
    )?;
    let (mut checks, mut raw) = (Vec::new(), serde_json::Map::new());
    for precision in [&Q8_0, &Q4_K_M] {
        // Written anew each time: the file is as good as the code that wrote it.
        let gguf = folder.join(format!("written-{}.gguf", precision.name));
        let _ = std::fs::remove_file(&gguf);
        let mut write = Command::new(&engine);
        finished(write.arg("write").arg(&model).arg(precision.name).arg(&gguf), "writing GGUF")?;
        let (more, numbers) = compare(root, &engine, &python, &gguf, precision)?;
        checks.extend(more);
        raw.insert(precision.name.to_owned(), numbers);
    }
    let (check, found) = adapters::run(root, &folder, &python)?;
    checks.push(check);
    raw.insert("adapters".to_owned(), found);
    let (more, found) = constrained::run(root, data)?;
    checks.extend(more);
    raw.insert("constrained".to_owned(), found);
    Ok((checks, Value::Object(raw)))
}

fn compare(
    root: &Path,
    engine: &Path,
    python: &Path,
    gguf: &Path,
    precision: &Precision,
) -> anyhow::Result<(Vec<Check>, Value)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers = [threads, PROMPT, ANSWER, SEQUENCES].map(|number| number.to_string());
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TRIALS {
        let mut ours = Command::new(engine);
        own.push(object(ours.arg(gguf).arg(precision.name).args(&numbers), "the engine")?);
        let mut peer = Command::new(python);
        peer.arg(root.join("bench/llama_peer.py")).arg(gguf).args(&numbers);
        theirs.push(object(&mut peer, "llama.cpp")?);
    }
    let difference = verify(&own[0], &theirs[0])?;
    let ratio = |name: &str| Ok::<_, anyhow::Error>(median(&own, name)? / median(&theirs, name)?);
    let mut checks = vec![
        Check::at_least(precision.decode, ratio("decode_tokens_per_s")?, "", 1.0),
        Check::at_least(precision.prefill, ratio("prefill_tokens_per_s")?, "", 0.8),
        Check::reported(precision.memory, median(&own, "rss_mb")?, "MiB"),
    ];
    if let Some(name) = precision.together {
        let adapters = median(&own, "adapters_vs_base")?;
        checks.push(Check::at_least(name, ratio("together_tokens_per_s")?, "", 1.3));
        checks.push(Check::at_least("adapters8_vs_base", adapters, "", 0.8));
        checks.push(Check::reported("ttft_p95_ms", median(&own, "ttft_p95_ms")?, "ms"));
    }
    let raw = json!({
        "pelton": without_logits(own), "llama_cpp": without_logits(theirs), "logit_difference": difference,
    });
    Ok((checks, raw))
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
