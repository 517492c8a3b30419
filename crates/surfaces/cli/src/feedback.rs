//! `pelton feedback`.

use crate::table::{Column, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::Client;
use serde_json::{Value, json};

/// Verbs of `pelton feedback`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Say what you think of an answer.
    #[command(after_help = "\
Examples:
  pelton feedback add inf_019… --score 1
  pelton feedback add inf_019… --correction '{\"bill_found\":\"false\"}'")]
    Add {
        /// The call's id.
        inference: String,
        /// From 0 (bad) to 1 (good).
        #[arg(long)]
        score: Option<f64>,
        /// A category.
        #[arg(long)]
        label: Option<String>,
        /// What the answer should have been.
        #[arg(long)]
        correction: Option<String>,
        /// Anything else.
        #[arg(long)]
        comment: Option<String>,
        /// Who says so.
        #[arg(long, default_value = "human", value_parser = ["human", "application", "judge"])]
        source: String,
    },
}

const ADDED: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("inference", |v| plain(&v["inference_id"])),
    Column::text("score", |v| plain(&v["score"])),
    Column::text("label", |v| plain(&v["label"])),
    Column::text("correction", |v| plain(&v["correction"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Verb::Add { inference, score, label, correction, comment, source } = verb;
    let request = json!({
        "inference_id": inference, "score": score, "label": label, "correction": correction,
        "comment": comment, "source": source,
    });
    let added: Value = client.post("/api/v1/feedback", &request).await?;
    Ok(out.one(&added, ADDED)?)
}
