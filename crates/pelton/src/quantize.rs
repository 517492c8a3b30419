//! `pelton model quantize`: a folder's weights, rounded, as a GGUF file.

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use pelton_cli::Quantize;
use pelton_engine_server::vocabulary_metadata;
use pelton_model::{Precision, open_model, quantize_to_gguf};
use pelton_tokens::GgufVocabulary;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's answer")]
pub fn run(arguments: &Quantize) -> anyhow::Result<ExitCode> {
    let Quantize { source, to, out } = arguments;
    let precision: Precision = to.parse()?;
    ensure_named_gguf(out)?;
    let model = open_model(source)?;
    let rows = model.config().vocab_size;
    let vocabulary = if source.join("tokenizer.json").exists() {
        Some(GgufVocabulary::of_folder(source, rows)?)
    } else {
        eprintln!("note: the folder has no tokenizer.json, and so the file has no tokenizer");
        None
    };
    if vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.hugging_face.is_some()) {
        eprintln!(
            "note: llama.cpp has no name for this tokenizer and will take tokens as numbers only; \
             Pelton finds tokenizer.json inside the file"
        );
    }
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {percent}% of {human_len} weights, {eta}",
    )?);
    quantize_to_gguf(
        model.as_ref(),
        precision,
        &folder_name(source),
        vocabulary_metadata(vocabulary),
        out,
        &mut |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();
    let bytes = std::fs::metadata(out).with_context(|| format!("reading {}", out.display()))?.len();
    println!("{} has {:.1} MiB in {precision}", out.display(), bytes as f64 / (1 << 20) as f64);
    Ok(ExitCode::SUCCESS)
}

/// Refuses a file to write that is not named as one.
pub fn ensure_named_gguf(out: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")),
        "--out must end in .gguf, so that other programs know what it is"
    );
    Ok(())
}

/// What a folder is called, also where it is given as `.`.
pub fn folder_name(folder: &Path) -> String {
    let whole = folder.canonicalize().ok();
    whole.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}
