//! `pelton model`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::Value;

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
    }
    Ok(())
}
