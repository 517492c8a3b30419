//! `pelton model`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::{Args, Subcommand};
use pelton_client::{Client, escape};
use serde_json::Value;
use std::path::PathBuf;

/// Verbs of `pelton model`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List base models and adapters.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show a model with its card and lineage.
    #[command(after_help = "Example:\n  pelton model show telco-desk@1")]
    Show {
        /// `name@version`.
        model: String,
    },
    /// Round a model's weights to fewer bits and write them as a GGUF file; needs no server.
    #[command(after_help = QUANTIZE_EXAMPLES)]
    Quantize(Quantize),
}

const QUANTIZE_EXAMPLES: &str = "\
Examples:
  pelton model quantize /models/Qwen2.5-0.5B-Instruct --to q4_k_m --out qwen-q4_k_m.gguf
  pelton up --set engine.model=qwen-q4_k_m.gguf";

/// What `pelton model quantize` takes.
#[derive(Debug, Clone, Args)]
pub struct Quantize {
    /// Folder in Hugging Face's format, with weights as floats.
    pub source: PathBuf,
    /// `f16`, `q8_0`, `q6_k`, `q4_k` or `q4_k_m`; `f32` rounds nothing.
    #[arg(long, value_name = "PRECISION", default_value = "q4_k_m")]
    pub to: String,
    /// The file to write, which must not exist.
    #[arg(long, value_name = "FILE.gguf")]
    pub out: PathBuf,
}

const COLUMNS: &[Column] = &[
    Column::text("model", |v| plain(&v["ref"])),
    Column::text("kind", |v| plain(&v["kind"])),
    Column::text("base", |v| plain(&v["base"])),
    Column::text("dataset", |v| plain(&v["lineage"]["dataset"])),
    Column::number("bytes", |v| plain(&v["size_bytes"])),
    Column::text("made", |v| instant(&v["created_at"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/models", &Query::default(), length.limit).await?;
            out.list(&items, COLUMNS, "No models.")?;
        }
        Verb::Show { model } => {
            let found: Value = client.get(&format!("/api/v1/models/{}", escape(&model))).await?;
            out.one(&found, COLUMNS)?;
            if let Some(card) = found["card"].as_str() {
                out.say(&format!("\n{card}"))?;
            }
        }
        // The binary does it before anything reaches a server; there is no engine here.
        Verb::Quantize(_) => anyhow::bail!("this build of the command line has no engine"),
    }
    Ok(())
}
