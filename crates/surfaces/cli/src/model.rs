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
    /// Download a model, or take one from a folder: its licence and files are shown first, every file
    /// is verified, and the model is registered with where it came from.
    #[command(after_help = PULL_EXAMPLES)]
    Pull(Pull),
    /// Round a model's weights to fewer bits and write them as a GGUF file; needs no server.
    #[command(after_help = QUANTIZE_EXAMPLES)]
    Quantize(Quantize),
    /// Write a LoRA adapter as a GGUF file for llama.cpp; needs no server.
    #[command(after_help = EXPORT_ADAPTER_EXAMPLES)]
    ExportAdapter(ExportAdapter),
}

const QUANTIZE_EXAMPLES: &str = "\
Examples:
  pelton model quantize /models/Qwen2.5-0.5B-Instruct --to q4_k_m --out qwen-q4_k_m.gguf
  pelton up --set engine.model=qwen-q4_k_m.gguf";

const EXPORT_ADAPTER_EXAMPLES: &str = "\
Examples:
  pelton model pull telco-desk@1 --to ./telco-desk --yes
  pelton model export-adapter ./telco-desk --base ./qwen --out telco-desk.gguf
  llama-server --model qwen.gguf --lora telco-desk.gguf";

const PULL_EXAMPLES: &str = "\
A download that was interrupted goes on where it was. Nothing is downloaded before the question is
answered; without a terminal to ask at, --yes is needed.

HF_TOKEN      a token for private and gated models; sent to the hub alone
HF_ENDPOINT   another hub than https://huggingface.co
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL
              for s3://; without keys, public buckets

Examples:
  pelton model pull hf://Qwen/Qwen2.5-0.5B-Instruct
  pelton model pull hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF --include '*q4_k_m.gguf' --as qwen-q4
  pelton model pull hf://acme/base@refs/pr/1 --dry-run
  pelton model pull s3://models/acme/base --as acme/base --yes
  pelton model pull /models/Qwen2.5-0.5B-Instruct --as qwen
  pelton model pull telco-desk@1 --to ./telco-desk --yes";

/// What `pelton model pull` takes.
#[derive(Debug, Clone, Args)]
pub struct Pull {
    /// `hf://ORG/NAME[@REVISION]`, `s3://BUCKET/PREFIX`, a folder or GGUF file, or with `--to` a
    /// model of the registry.
    pub source: String,
    /// The name in the registry; the source's own without.
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Write the files into this new folder, and register nothing.
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    pub to: Option<PathBuf>,
    /// Of the weights only those that match, and other files that match; may be given more than once.
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Nothing that matches; may be given more than once.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Only show the licence and the files.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Where downloads lie until they are registered; `~/.cache/pelton` without.
    #[arg(long, env = "PELTON_CACHE", value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
}

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

/// What `pelton model export-adapter` takes.
#[derive(Debug, Clone, Args)]
pub struct ExportAdapter {
    /// Folder in PEFT's format.
    pub adapter: PathBuf,
    /// The base that it was trained on: a folder in Hugging Face's format, of which only `config.json`
    /// is read, or a GGUF file.
    #[arg(long, value_name = "FOLDER_OR_GGUF")]
    pub base: PathBuf,
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
        // The binary does these itself; there is no engine here.
        Verb::Pull(_) | Verb::Quantize(_) | Verb::ExportAdapter(_) => {
            anyhow::bail!("this build of the command line has no engine")
        }
    }
    Ok(())
}
