//! `pelton release`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, interval, plain};
use crate::terminal::Terminal;
use clap::{ArgGroup, Subcommand};
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton release`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Make an immutable bundle.
    #[command(
        group(ArgGroup::new("what").required(true).args(["model", "upstream"])),
        after_help = "\
Examples:
  pelton release create desk-2 --model pelton/pelton-tiny@1 --adapter telco-desk@1 --gate gate_019…
  pelton release create big --upstream openai/gpt-4o-mini --temperature 0"
    )]
    Create {
        /// Its name.
        name: String,
        /// A base model of the embedded engine.
        #[arg(long)]
        model: Option<String>,
        /// An adapter on it.
        #[arg(long, requires = "model")]
        adapter: Option<String>,
        /// A configured provider and its model, `provider/model`.
        #[arg(long)]
        upstream: Option<String>,
        /// The system prompt, where the application gives none.
        #[arg(long)]
        system_prompt: Option<String>,
        /// 0 is greedy.
        #[arg(long)]
        temperature: Option<f64>,
        /// Share of the probability that is drawn from.
        #[arg(long)]
        top_p: Option<f64>,
        /// Tokens that are drawn from.
        #[arg(long)]
        top_k: Option<u32>,
        /// Tokens of an answer at most.
        #[arg(long)]
        max_tokens: Option<u32>,
        /// The gate that it passed.
        #[arg(long)]
        gate: Option<String>,
    },
    /// List releases, newest first.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show a release.
    Show {
        /// The release's id.
        id: String,
    },
    /// Show where a release comes from, down to the rows that trained it.
    Lineage {
        /// The release's id.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("name", |v| plain(&v["name"])),
    Column::text("model", |v| match &v["bundle"]["upstream"] {
        Value::Null => plain(&v["bundle"]["model"]),
        upstream => format!("{}/{}", plain(&upstream["provider"]), plain(&upstream["model"])),
    }),
    Column::text("adapter", |v| plain(&v["bundle"]["adapter"])),
    Column::text("gate", |v| plain(&v["gate"])),
    Column::text("made", |v| instant(&v["created_at"])),
];

const LINEAGE: &[Column] = &[
    Column::text("release", |v| plain(&v["release"]["name"])),
    Column::text("base", |v| plain(&v["model"]["ref"])),
    Column::text("adapter", |v| plain(&v["adapter"]["ref"])),
    Column::text("dataset", |v| plain(&v["dataset_version"]["name"])),
    Column::text("training job", |v| plain(&v["training_job"]["id"])),
    Column::text("rows", |v| plain(&v["rows"]["total"])),
    Column::text("corrected rows", |v| plain(&v["rows"]["corrections"])),
    Column::text("gate", |v| match v["gate"]["passed"].as_bool() {
        Some(true) => "passed".into(),
        Some(false) => "did not pass".into(),
        None => "-".into(),
    }),
    Column::text("hyperparameters", |v| plain(&v["hyperparameters"])),
];

const EVALUATIONS: &[Column] = &[
    Column::text("evaluation", |v| plain(&v["id"])),
    Column::text("name", |v| plain(&v["name"])),
    Column::number("n", |v| plain(&v["n"])),
    Column::number("right (95 %)", |v| interval(&v["exact_match"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::Create {
            name,
            model,
            adapter,
            upstream,
            system_prompt,
            temperature,
            top_p,
            top_k,
            max_tokens,
            gate,
        } => {
            let upstream = match upstream.as_deref().map(|text| text.split_once('/')) {
                None => Value::Null,
                Some(Some((provider, model))) => json!({ "provider": provider, "model": model }),
                Some(None) => anyhow::bail!("--upstream reads provider/model"),
            };
            let request = json!({
                "name": name, "model": model, "adapter": adapter, "upstream": upstream,
                "system_prompt": system_prompt, "gate": gate,
                "sampling": { "temperature": temperature, "top_p": top_p, "top_k": top_k, "max_tokens": max_tokens },
            });
            let made: Value = client.post("/api/v1/releases", &request).await?;
            out.one(&made, COLUMNS)?;
        }
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/releases", &Query::default(), length.limit).await?;
            out.list(&items, COLUMNS, "No releases.")?;
        }
        Verb::Show { id } => {
            let found: Value = client.get(&format!("/api/v1/releases/{}", escape(&id))).await?;
            out.one(&found, COLUMNS)?;
        }
        Verb::Lineage { id } => {
            let path = format!("/api/v1/releases/{}/lineage", escape(&id));
            let found: Value = client.get(&path).await?;
            out.one(&found, LINEAGE)?;
            let scored = found["evaluations"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !scored.is_empty() && !out.is_json() {
                out.say("")?;
                out.list(scored, EVALUATIONS, "")?;
            }
        }
    }
    Ok(())
}
