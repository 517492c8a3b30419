//! `pelton finetune`.

use crate::search::{self, Search};
use crate::terminal::Terminal;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use pelton_client::Client;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Verbs of `pelton finetune`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Train a LoRA adapter, or all weights, on a dataset version or on preference pairs.
    #[command(after_help = "\
Examples:
  pelton finetune create telco-desk --dataset telco@1 --wait
  pelton finetune create telco-desk --preferences pairs.jsonl --wait
  pelton finetune create small-desk --dataset telco@1 --base acme/qwen@1 --base-precision q8_0
  pelton finetune create desk-model --dataset telco@1 --merge
  pelton finetune create telco-desk --dataset telco@1 --train-rows 50 --seed 2 --max-minutes 5")]
    Create(Box<Create>),
    /// Find the hyperparameters that fit a dataset best, within a budget, and publish the adapter that they give.
    #[command(after_help = search::EXAMPLES)]
    Search(Box<Search>),
}

/// What `pelton finetune create` takes.
#[derive(Debug, Clone, Args)]
pub struct Create {
    /// The adapter's name; every run makes a new version of it.
    pub name: String,
    /// The base model.
    #[arg(long, default_value = "pelton/pelton-tiny@1")]
    pub base: String,
    /// The dataset version, `name@version`.
    #[arg(long, required_unless_present = "preferences", conflicts_with = "preferences")]
    pub dataset: Option<String>,
    /// A JSONL file of pairs (`messages` or `prompt`, `chosen`, `rejected`): direct preference optimization.
    #[arg(long)]
    pub preferences: Option<PathBuf>,
    /// What is trained: a `lora` adapter, or all weights (`full`), for small models.
    #[arg(long, default_value = "lora", value_parser = ["lora", "full"])]
    pub method: String,
    /// How the frozen base is kept: `q8_0` takes a quarter of the memory of `f32`.
    #[arg(long, default_value = "f32", value_parser = ["f32", "q8_0"])]
    pub base_precision: String,
    /// How strongly pairs hold the model to the base.
    #[arg(long)]
    pub preference_beta: Option<f64>,
    /// A model of the same tokenizer whose distributions are learned beside the answers.
    #[arg(long)]
    pub teacher: Option<String>,
    /// The teacher's share of the loss.
    #[arg(long, requires = "teacher")]
    pub distillation_weight: Option<f64>,
    /// Temperature of both distributions.
    #[arg(long, requires = "teacher")]
    pub distillation_temperature: Option<f64>,
    /// Merge the adapter into a copy of the base, and publish that as a base model.
    #[arg(long)]
    pub merge: bool,
    /// Training rows, drawn by seed; all without.
    #[arg(long)]
    pub train_rows: Option<u64>,
    /// The same seed gives the same adapter.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Deal answers out at random: a control that must not help.
    #[arg(long)]
    pub shuffle_labels: bool,
    /// LoRA rank.
    #[arg(long)]
    pub rank: Option<u32>,
    /// Which linear layers get a low-rank pair: all, or those of the attention or the feed-forward network.
    #[arg(long, value_parser = ["all", "attention", "mlp"])]
    pub targets: Option<String>,
    /// LoRA alpha.
    #[arg(long)]
    pub alpha: Option<u32>,
    /// Peak learning rate.
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Passes over the rows at most.
    #[arg(long)]
    pub epochs: Option<f64>,
    /// Tokens in a batch.
    #[arg(long)]
    pub batch_tokens: Option<u32>,
    /// Share of base tasks mixed in against forgetting.
    #[arg(long)]
    pub rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on them.
    #[arg(long)]
    pub kl_to_base: Option<f64>,
    /// Longest training time.
    #[arg(long)]
    pub max_minutes: Option<f64>,
    /// Wait until it is trained.
    #[arg(long)]
    pub wait: bool,
}

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::Create(asked) => create(*asked, client, out).await,
        Verb::Search(search) => search::run(*search, client, out).await,
    }
}

async fn create(create: Create, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Create {
        name,
        base,
        dataset,
        preferences,
        method,
        base_precision,
        preference_beta,
        teacher,
        distillation_weight,
        distillation_temperature,
        merge,
        train_rows,
        seed,
        shuffle_labels,
        rank,
        targets,
        alpha,
        learning_rate,
        epochs,
        batch_tokens,
        rehearsal,
        kl_to_base,
        max_minutes,
        wait,
    } = create;
    let preferences = match preferences {
        Some(file) => {
            let bytes =
                std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Some(client.upload(bytes.into()).await?)
        }
        None => None,
    };
    let request = json!({
        "name": name, "base": base, "dataset": dataset, "preferences": preferences,
        "method": method, "base_precision": base_precision, "preference_beta": preference_beta,
        "teacher": teacher, "distillation_weight": distillation_weight,
        "distillation_temperature": distillation_temperature, "merge": merge,
        "train_rows": train_rows, "seed": seed,
        "shuffle_labels": shuffle_labels, "rank": rank, "targets": targets, "alpha": alpha,
        "learning_rate": learning_rate, "epochs": epochs, "batch_tokens": batch_tokens,
        "rehearsal": rehearsal, "kl_to_base": kl_to_base, "max_minutes": max_minutes,
    });
    let job: Value = client.post("/api/v1/finetunes", &request).await?;
    out.job(client, &job, wait).await
}
