//! The engine beside llama.cpp: the same random weights of Qwen2.5's shapes in the same GGUF files, which the
//! engine writes, the same tokens, the same threads, taking turns.

use super::programs::{example, finished, object, python};
use super::{Check, adapters, constrained};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TRIALS: usize = 7;
/// Of several sequences, which take ten times as long.
const TRIALS_TOGETHER: usize = 3;
const PROMPT: usize = 512;
const ANSWER: usize = 32;
const SEQUENCES: usize = 8;

/// A model file, and what is added to the names of its checks.
struct Model {
    shape: &'static str,
    precision: &'static str,
    suffix: &'static str,
    /// Whether several sequences are run together, too.
    together: bool,
}

const MODELS: [Model; 4] = [
    Model { shape: "0.5b", precision: "q8_0", suffix: "q8_0", together: true },
    Model { shape: "0.5b", precision: "q4_k_m", suffix: "q4_k_m", together: false },
    Model { shape: "1.5b", precision: "q8_0", suffix: "q8_0_1_5b", together: false },
    Model { shape: "1.5b", precision: "q4_k_m", suffix: "q4_k_m_1_5b", together: false },
];

pub fn run(root: &Path, data: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let folder = root.join(".build/bench-engine");
    let engine = example(root, "beside_llama_cpp")?;
    std::fs::create_dir_all(&folder)?;
    let python = python(
        &folder.join("python"),
        "llama_cpp, numpy",
        "building llama.cpp (about 15 minutes on two cores)",
        &[&["cmake", "ninja", "numpy"], &["llama-cpp-python"]],
    )?;
    let (mut checks, mut raw) = (Vec::new(), serde_json::Map::new());
    for model in &MODELS {
        // Written anew each time: the file is as good as the code that wrote it.
        let gguf = folder.join("model.gguf");
        let _ = std::fs::remove_file(&gguf);
        let mut write = Command::new(&engine);
        write.args(["write", model.shape, model.precision]).arg(&gguf);
        finished(&mut write, "writing GGUF")?;
        let (more, numbers) = compare(root, &engine, &python, &gguf, model)?;
        checks.extend(more);
        raw.insert(model.suffix.to_owned(), numbers);
        std::fs::remove_file(&gguf)?;
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
    model: &Model,
) -> anyhow::Result<(Vec<Check>, Value)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let trials = |count: usize, sequences: usize| {
        let numbers = [threads, PROMPT, ANSWER, sequences].map(|number| number.to_string());
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        for trial in 0..count {
            eprintln!("{}: {sequences} together, trial {} of {count}", model.suffix, trial + 1);
            let mut ours = Command::new(engine);
            own.push(object(ours.arg(gguf).arg(model.precision).args(&numbers), "the engine")?);
            let mut peer = Command::new(python);
            peer.arg(root.join("bench/llama_peer.py")).arg(gguf).args(&numbers);
            theirs.push(object(&mut peer, "llama.cpp")?);
        }
        anyhow::Ok((own, theirs))
    };
    let (own, theirs) = trials(TRIALS, 0)?;
    let difference = verify(&own[0], &theirs[0])?;
    let ratio = |name: &str| Ok::<_, anyhow::Error>(median(&own, name)? / median(&theirs, name)?);
    let name = |check: &str| format!("{check}_{}", model.suffix);
    let mut checks = vec![
        Check::at_least(name("decode_vs_llamacpp"), ratio("decode_tokens_per_s")?, "", 1.0),
        Check::at_least(name("prefill_vs_llamacpp"), ratio("prefill_tokens_per_s")?, "", 0.8),
        Check::reported(name("rss_mb"), median(&own, "rss_mb")?, "MiB"),
    ];
    let mut raw = json!({ "logit_difference": difference });
    if model.together {
        let (own, theirs) = trials(TRIALS_TOGETHER, SEQUENCES)?;
        let tokens = |of: &[Value]| median(of, "together_tokens_per_s");
        let adapters = median(&own, "adapters_vs_base")?;
        checks.extend([
            Check::at_least("concurrent8_vs_llamacpp", tokens(&own)? / tokens(&theirs)?, "", 1.3),
            Check::at_least("adapters8_vs_base", adapters, "", 0.8),
            Check::reported("ttft_p95_ms", median(&own, "ttft_p95_ms")?, "ms"),
            Check::reported("rss_mb", median(&own, "rss_mb")?, "MiB"),
        ]);
        raw["together"] =
            json!({ "pelton": without_logits(own), "llama_cpp": without_logits(theirs) });
    }
    raw["pelton"] = json!(without_logits(own));
    raw["llama_cpp"] = json!(without_logits(theirs));
    Ok((checks, raw))
}

/// The largest difference of the first logits, as a share of the largest logit; an error where the two do not
/// compute the same.
fn verify(own: &Value, theirs: &Value) -> anyhow::Result<f64> {
    let logits = |of: &Value| -> anyhow::Result<Vec<f64>> {
        let logits = of["first_logits"].as_array().context("there are no logits")?;
        Ok(logits.iter().filter_map(Value::as_f64).collect())
    };
    // llama.cpp rounds activations with a scale for 256 of them where weights are in super-blocks, the engine with
    // one for 32: over 28 layers of random weights that is a tenth of the largest logit.
    let (own_logits, their_logits) = (logits(own)?, logits(theirs)?);
    let largest = their_logits.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
    let pairs = own_logits.iter().zip(&their_logits);
    let difference = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / largest;
    anyhow::ensure!(
        difference < 0.15,
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
