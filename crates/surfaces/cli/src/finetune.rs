//! `pelton finetune`.

use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::Client;
use serde_json::{Value, json};

/// Verbs of `pelton finetune`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Train a LoRA adapter on a dataset version.
    #[command(after_help = "\
Examples:
  pelton finetune create telco-desk --dataset telco@1 --wait
  pelton finetune create telco-desk --dataset telco@1 --train-rows 50 --seed 2 --max-minutes 5")]
    Create {
        /// The adapter's name; every run makes a new version of it.
        name: String,
        /// The base model.
        #[arg(long, default_value = "pelton/pelton-tiny@1")]
        base: String,
        /// The dataset version, `name@version`.
        #[arg(long)]
        dataset: String,
        /// Training rows, drawn by seed; all without.
        #[arg(long)]
        train_rows: Option<u64>,
        /// The same seed gives the same adapter.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Deal answers out at random: a control that must not help.
        #[arg(long)]
        shuffle_labels: bool,
        /// LoRA rank.
        #[arg(long)]
        rank: Option<u32>,
        /// LoRA alpha.
        #[arg(long)]
        alpha: Option<u32>,
        /// Peak learning rate.
        #[arg(long)]
        learning_rate: Option<f64>,
        /// Passes over the rows at most.
        #[arg(long)]
        epochs: Option<f64>,
        /// Tokens in a batch.
        #[arg(long)]
        batch_tokens: Option<u32>,
        /// Share of base tasks mixed in against forgetting.
        #[arg(long)]
        rehearsal: Option<f64>,
        /// Weight of the KL divergence from the base on them.
        #[arg(long)]
        kl_to_base: Option<f64>,
        /// Longest training time.
        #[arg(long)]
        max_minutes: Option<f64>,
        /// Wait until it is trained.
        #[arg(long)]
        wait: bool,
    },
}

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Verb::Create {
        name,
        base,
        dataset,
        train_rows,
        seed,
        shuffle_labels,
        rank,
        alpha,
        learning_rate,
        epochs,
        batch_tokens,
        rehearsal,
        kl_to_base,
        max_minutes,
        wait,
    } = verb;
    let request = json!({
        "name": name, "base": base, "dataset": dataset, "train_rows": train_rows, "seed": seed,
        "shuffle_labels": shuffle_labels, "rank": rank, "alpha": alpha,
        "learning_rate": learning_rate, "epochs": epochs, "batch_tokens": batch_tokens,
        "rehearsal": rehearsal, "kl_to_base": kl_to_base, "max_minutes": max_minutes,
    });
    let job: Value = client.post("/api/v1/finetunes", &request).await?;
    out.job(client, &job, wait).await
}
