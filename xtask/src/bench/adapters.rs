//! Adapters as GGUF: a small random model of each architecture, whose logits llama.cpp computes with the
//! files that Pelton writes, and Pelton from its own weights.

use super::Check;
use super::programs::{example, object};
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;

const LENGTH: &str = "48";
/// Both sum in 32 bits, in other orders.
const TOLERANCE: f64 = 1e-4;

pub fn run(root: &Path, folder: &Path, python: &Path) -> anyhow::Result<(Check, Value)> {
    let engine = example(root, "adapter_beside_llama_cpp")?;
    let (mut raw, mut worst) = (Map::new(), 0.0_f64);
    for family in ["llama", "qwen2", "qwen3"] {
        let folder = folder.join("adapters").join(family);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let mut ours = Command::new(&engine);
        let own = object(ours.args([family, LENGTH]).arg(&folder), "the engine")?;
        let mut peer = Command::new(python);
        peer.arg(root.join("bench/llama_adapter.py"));
        peer.args([folder.join("base.gguf"), folder.join("adapter.gguf")]).arg(LENGTH);
        let theirs = object(&mut peer, "llama.cpp")?;
        let base = difference(&own["base"], &theirs["base"])?;
        let adapter = difference(&own["adapter"], &theirs["adapter"])?;
        let change = difference(&theirs["base"], &theirs["adapter"])?;
        anyhow::ensure!(
            change > 0.1,
            "{family}: the adapter changes llama.cpp's logits by {change}"
        );
        worst = worst.max(base).max(adapter);
        raw.insert(
            family.to_owned(),
            json!({ "base": base, "adapter": adapter, "change": change }),
        );
    }
    let check = Check::at_most("gguf_adapter_logit_difference", worst, "", TOLERANCE);
    Ok((check, Value::Object(raw)))
}

/// The largest difference of two sets of logits, as a share of the second's largest.
fn difference(a: &Value, b: &Value) -> anyhow::Result<f64> {
    let logits = |of: &Value| -> anyhow::Result<Vec<f64>> {
        let logits = of.as_array().context("there are no logits")?;
        logits.iter().map(|logit| logit.as_f64().context("a logit is no number")).collect()
    };
    let (a, b) = (logits(a)?, logits(b)?);
    anyhow::ensure!(a.len() == b.len(), "{} logits beside {}", a.len(), b.len());
    let largest = b.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
    let pairs = a.iter().zip(&b);
    Ok(pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / largest)
}
