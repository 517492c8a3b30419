//! `pelton model export-adapter`: a PEFT folder as a GGUF file for llama.cpp.

use crate::quantize::{ensure_named_gguf, folder_name};
use anyhow::Context as _;
use pelton_cli::{ExportAdapter, Globals};
use pelton_model::{Adapter, adapter_to_gguf, model_config};
use std::process::ExitCode;

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the command's answer")]
pub fn run(arguments: &ExportAdapter, globals: &Globals) -> anyhow::Result<ExitCode> {
    let ExportAdapter { adapter: folder, base, out } = arguments;
    ensure_named_gguf(out)?;
    let base = model_config(base).context("--base must be the model that was adapted")?;
    let adapter = Adapter::load(folder, &base).with_context(|| {
        format!(
            "{} must be an adapter's folder, as `pelton model pull NAME@VERSION --to FOLDER` writes it",
            folder.display()
        )
    })?;
    adapter_to_gguf(&adapter, &base, &folder_name(folder), out)?;
    let bytes = std::fs::metadata(out).with_context(|| format!("reading {}", out.display()))?.len();
    let (rank, count) = (adapter.config().rank, adapter.pairs().count());
    if globals.json {
        let written = serde_json::json!({
            "path": out, "bytes": bytes, "rank": rank, "scale": adapter.config().scale(),
            "linear_layers": count,
        });
        println!("{written}");
    } else {
        let size = bytes as f64 / (1 << 20) as f64;
        println!("{} has {size:.1} MiB: rank {rank} on {count} linear layers", out.display());
    }
    Ok(ExitCode::SUCCESS)
}
