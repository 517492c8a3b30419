//! `pelton endpoint`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use anyhow::Context as _;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton endpoint`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List endpoints.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show an endpoint with its history.
    Show {
        /// Its name.
        name: String,
    },
    /// Set who answers; makes the endpoint when there is none.
    #[command(after_help = "\
Examples:
  pelton endpoint set telco-desk rel_019…
  pelton endpoint set telco-desk rel_A=90 rel_B=10")]
    Set {
        /// Its name.
        name: String,
        /// Releases with their percent of the traffic; one alone gets all of it.
        #[arg(required = true, value_name = "RELEASE[=PERCENT]")]
        traffic: Vec<String>,
    },
    /// Go back to the traffic before the last change, at once; ends a running rollout.
    Rollback {
        /// Its name.
        name: String,
    },
}

fn traffic(endpoint: &Value) -> String {
    let shares = endpoint["traffic"].as_array().into_iter().flatten();
    shares
        .map(|share| format!("{} {} %", plain(&share["release_name"]), plain(&share["weight"])))
        .collect::<Vec<_>>()
        .join(", ")
}

const COLUMNS: &[Column] = &[
    Column::text("name", |v| plain(&v["name"])),
    Column::number("generation", |v| plain(&v["generation"])),
    Column::text("traffic", traffic),
    Column::text("rollout", |v| plain(&v["rollout"]["state"])),
    Column::text("changed", |v| instant(&v["updated_at"])),
];

const HISTORY: &[Column] = &[
    Column::number("generation", |v| plain(&v["generation"])),
    Column::text("at", |v| instant(&v["at"])),
    Column::text("by", |v| plain(&v["by"])),
    Column::text("traffic", traffic),
    Column::text("reason", |v| plain(&v["reason"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let path = |name: &str| format!("/api/v1/endpoints/{}", escape(name));
    match verb {
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/endpoints", &Query::default(), length.limit).await?;
            out.list(&items, COLUMNS, "No endpoints. Make one: pelton endpoint set NAME RELEASE.")?;
        }
        Verb::Show { name } => {
            let found: Value = client.get(&path(&name)).await?;
            out.one(&found, COLUMNS)?;
            let history = found["history"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !history.is_empty() && !out.is_json() {
                out.say("")?;
                out.list(history, HISTORY, "")?;
            }
        }
        Verb::Set { name, traffic } => {
            let shares =
                traffic.iter().map(|share| read(share)).collect::<anyhow::Result<Vec<_>>>()?;
            let set: Value = client.put(&path(&name), &json!({ "traffic": shares })).await?;
            out.one(&set, COLUMNS)?;
        }
        Verb::Rollback { name } => {
            let back: Value = client.post(&format!("{}/rollback", path(&name)), &json!({})).await?;
            out.one(&back, COLUMNS)?;
        }
    }
    Ok(())
}

fn read(share: &str) -> anyhow::Result<Value> {
    let (release, weight) = share.split_once('=').unwrap_or((share, "100"));
    let weight: u32 =
        weight.parse().with_context(|| format!("`{share}`: the percent is a whole number"))?;
    Ok(json!({ "release_id": release, "weight": weight }))
}
