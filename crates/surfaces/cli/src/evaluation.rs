//! `pelton evaluation`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, interval, millis, percent, plain};
use crate::terminal::Terminal;
use clap::{ArgGroup, Subcommand};
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton evaluation`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Score a model, an endpoint or the most frequent answer.
    #[command(
        group(ArgGroup::new("target").required(true).args(["model", "endpoint", "constant"])),
        group(ArgGroup::new("suite").required(true).args(["dataset", "builtin"])),
        after_help = "\
Examples:
  pelton evaluation create base --model pelton/pelton-tiny@1 --dataset telco@1 --wait
  pelton evaluation create tuned --model pelton/pelton-tiny@1 --adapter telco-desk@1 --dataset telco@1
  pelton evaluation create kept --endpoint telco-desk --builtin regression"
    )]
    Create {
        /// A name, for people.
        name: String,
        /// A base model.
        #[arg(long)]
        model: Option<String>,
        /// An adapter on it.
        #[arg(long, requires = "model")]
        adapter: Option<String>,
        /// An endpoint, as applications call it.
        #[arg(long)]
        endpoint: Option<String>,
        /// The most frequent answer of the training rows.
        #[arg(long)]
        constant: bool,
        /// Rows of a dataset version.
        #[arg(long)]
        dataset: Option<String>,
        /// Which of them.
        #[arg(long, default_value = "test")]
        split: String,
        /// A suite that Pelton brings along: regression.
        #[arg(long)]
        builtin: Option<String>,
        /// Items at most.
        #[arg(long)]
        limit: Option<u64>,
        /// Draws the items.
        #[arg(long)]
        seed: Option<u64>,
        /// Training rows shown before each question.
        #[arg(long, default_value_t = 0)]
        few_shot: u64,
        /// Wait until it is scored.
        #[arg(long)]
        wait: bool,
    },
    /// List evaluations, newest first.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show an evaluation, and with --samples its items.
    Show {
        /// The evaluation's id.
        id: String,
        /// Show items too: all, right or wrong.
        #[arg(long, value_parser = ["all", "right", "wrong"])]
        samples: Option<String>,
        #[command(flatten)]
        length: Length,
    },
    /// Compare two evaluations of the same items.
    #[command(after_help = "Example:\n  pelton evaluation compare eval_BASE eval_TUNED")]
    Compare {
        /// What was before.
        baseline: String,
        /// What may come.
        candidate: String,
    },
}

const LIST: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("name", |v| plain(&v["name"])),
    Column::number("n", |v| plain(&v["n"])),
    Column::number("unscored", |v| plain(&v["unscored"])),
    Column::number("right (95 %)", |v| interval(&v["exact_match"])),
    Column::text("at", |v| instant(&v["created_at"])),
];

const SHOW: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("name", |v| plain(&v["name"])),
    Column::text("target", |v| plain(&v["target"])),
    Column::text("suite", |v| plain(&v["suite"])),
    Column::text("items", |v| plain(&v["n"])),
    Column::text("unscored", |v| plain(&v["unscored"])),
    Column::text("right (95 %)", |v| interval(&v["exact_match"])),
    Column::text("macro F1 (95 %)", |v| interval(&v["macro_f1"])),
    Column::text("mean latency", |v| millis(&v["mean_latency_ms"])),
];

const GROUPS: &[Column] = &[
    Column::text("group", |v| plain(&v["group"])),
    Column::number("n", |v| plain(&v["n"])),
    Column::number("right (95 %)", interval),
];

const SAMPLES: &[Column] = &[
    Column::number("index", |v| plain(&v["index"])),
    Column::text("right", |v| plain(&v["correct"])),
    Column::text("expected", |v| plain(&v["expected"])),
    Column::text("answer", |v| match &v["output"] {
        Value::Null => format!("({})", plain(&v["error"])),
        output => plain(output),
    }),
];

const COMPARED: &[Column] = &[
    Column::text("baseline", |v| side(&v["baseline"])),
    Column::text("candidate", |v| side(&v["candidate"])),
    Column::text("paired items", |v| plain(&v["n_paired"])),
    Column::text("difference (95 %)", |v| interval(&v["difference"])),
    Column::text("only baseline right", |v| plain(&v["mcnemar"]["only_baseline"])),
    Column::text("only candidate right", |v| plain(&v["mcnemar"]["only_candidate"])),
    Column::text("p (McNemar, exact)", |v| plain(&v["mcnemar"]["p_value"])),
];

fn side(evaluation: &Value) -> String {
    format!("{}  {}", percent(&evaluation["exact_match"]["value"]), plain(&evaluation["name"]))
}

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::Create {
            name,
            model,
            adapter,
            endpoint,
            constant: _,
            dataset,
            split,
            builtin,
            limit,
            seed,
            few_shot,
            wait,
        } => {
            let target = match (model, endpoint) {
                (Some(model), _) => json!({ "model": model, "adapter": adapter }),
                (None, Some(endpoint)) => json!({ "endpoint": endpoint }),
                (None, None) => json!({ "constant": true }),
            };
            let suite = match dataset {
                Some(dataset) => {
                    json!({ "dataset": dataset, "split": split, "limit": limit, "seed": seed })
                }
                None => json!({ "builtin": builtin, "limit": limit }),
            };
            let request =
                json!({ "name": name, "target": target, "suite": suite, "few_shot": few_shot });
            let job: Value = client.post("/api/v1/evaluations", &request).await?;
            out.job(client, &job, wait).await?;
        }
        Verb::List { length } => {
            let path = "/api/v1/evaluations";
            let items = fetch(client, path, &Query::default(), length.limit).await?;
            out.list(&items, LIST, "No evaluations.")?;
        }
        Verb::Show { id, samples, length } => {
            let path = format!("/api/v1/evaluations/{}", escape(&id));
            let found: Value = client.get(&path).await?;
            show(&found, out)?;
            if let Some(which) = samples {
                let correct = match which.as_str() {
                    "right" => Some(true),
                    "wrong" => Some(false),
                    _ => None,
                };
                let query = Query::default().with("correct", correct);
                let items = fetch(client, &format!("{path}/samples"), &query, length.limit).await?;
                out.say("")?;
                out.list(&items, SAMPLES, "No such items.")?;
            }
        }
        Verb::Compare { baseline, candidate } => {
            let query = Query::default()
                .with("baseline", Some(baseline))
                .with("candidate", Some(candidate));
            let found: Value = client.get(&query.on("/api/v1/evaluations/compare")).await?;
            out.one(&found, COMPARED)?;
        }
    }
    Ok(())
}

fn show(evaluation: &Value, out: &mut Terminal) -> std::io::Result<()> {
    out.one(evaluation, SHOW)?;
    let groups = evaluation["by_group"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !groups.is_empty() && !out.is_json() {
        out.say("")?;
        out.list(groups, GROUPS, "")?;
    }
    Ok(())
}
