//! `pelton finetune search`.

use crate::terminal::Terminal;
use clap::Args;
use pelton_client::Client;
use serde_json::{Value, json};

pub(crate) const EXAMPLES: &str = "\
A value is a number, a list (8,16,32) or a range (1e-4..1e-2).

Examples:
  pelton finetune search telco-desk --dataset telco@1 --budget-minutes 20 --wait
  pelton finetune search telco-desk --dataset telco@1 --method tpe --trials 12 --rank 4,8,16 --epochs 2..8
  pelton finetune search telco-desk --dataset telco@1 --budget-tokens 2000000 --targets all,attention";

/// What `pelton finetune search` takes.
#[derive(Debug, Clone, Args)]
pub struct Search {
    /// The adapter's name; every search makes a new version of it.
    pub name: String,
    /// The base model.
    #[arg(long, default_value = "pelton/pelton-tiny@1")]
    pub base: String,
    /// The dataset version, `name@version`. Its validation rows judge, or else a tenth of its training rows.
    #[arg(long)]
    pub dataset: String,
    /// `halving` stops the worse trials early, `tpe` learns from earlier trials, `random` does neither.
    #[arg(long, default_value = "halving", value_parser = ["halving", "tpe", "random"])]
    pub method: String,
    /// Trials at most.
    #[arg(long)]
    pub trials: Option<u64>,
    /// Minutes at most.
    #[arg(long, conflicts_with = "budget_tokens")]
    pub budget_minutes: Option<f64>,
    /// Training tokens of all trials at most; the same seed and threads then give the same adapter.
    #[arg(long)]
    pub budget_tokens: Option<u64>,
    /// How the frozen base is kept: `q8_0` takes a quarter of the memory of `f32`.
    #[arg(long, default_value = "f32", value_parser = ["f32", "q8_0"])]
    pub base_precision: String,
    /// Training rows, drawn by seed; all without.
    #[arg(long)]
    pub train_rows: Option<u64>,
    /// Decides trials and training.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Peak learning rates; 1e-4..1e-2 without.
    #[arg(long, value_parser = range)]
    pub learning_rate: Option<Value>,
    /// LoRA ranks; 4,8,16,32 without.
    #[arg(long, value_parser = range)]
    pub rank: Option<Value>,
    /// Passes over the rows.
    #[arg(long, value_parser = range)]
    pub epochs: Option<Value>,
    /// Tokens in a batch.
    #[arg(long, value_parser = range)]
    pub batch_tokens: Option<Value>,
    /// Which linear layers get a low-rank pair: `all`, `attention`, `mlp`, or several of them.
    #[arg(long, value_delimiter = ',', value_parser = ["all", "attention", "mlp"])]
    pub targets: Option<Vec<String>>,
    /// Share of base tasks mixed in against forgetting.
    #[arg(long)]
    pub rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on them.
    #[arg(long)]
    pub kl_to_base: Option<f64>,
    /// Wait until it is done.
    #[arg(long)]
    pub wait: bool,
}

/// A number, a list or a range, as the API takes it.
fn range(text: &str) -> Result<Value, String> {
    let number = |text: &str| {
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("`{text}` is no number; give 8, 8,16,32 or 8..32"))
    };
    if let Some((from, to)) = text.split_once("..") {
        return Ok(json!({ "from": number(from)?, "to": number(to)? }));
    }
    let mut values = text.split(',').map(number).collect::<Result<Vec<f64>, String>>()?;
    Ok(if values.len() == 1 { json!(values.remove(0)) } else { json!(values) })
}

pub(crate) async fn run(search: Search, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Search {
        name,
        base,
        dataset,
        method,
        trials,
        budget_minutes,
        budget_tokens,
        base_precision,
        train_rows,
        seed,
        learning_rate,
        rank,
        epochs,
        batch_tokens,
        targets,
        rehearsal,
        kl_to_base,
        wait,
    } = search;
    let request = json!({
        "name": name, "base": base, "dataset": dataset, "method": method, "trials": trials,
        "budget_minutes": budget_minutes, "budget_tokens": budget_tokens,
        "base_precision": base_precision, "train_rows": train_rows, "seed": seed,
        "learning_rate": learning_rate, "rank": rank, "epochs": epochs,
        "batch_tokens": batch_tokens, "targets": targets, "rehearsal": rehearsal,
        "kl_to_base": kl_to_base,
    });
    let job: Value = client.post("/api/v1/searches", &request).await?;
    out.job(client, &job, wait).await
}
