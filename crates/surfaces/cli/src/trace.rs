//! `pelton trace`.

use crate::filter::Filter;
use crate::list::{Length, fetch};
use crate::table::{Column, instant, millis, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton trace`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List calls, newest first.
    #[command(after_help = "\
Examples:
  pelton trace list --endpoint telco-desk --since 2h
  pelton trace list --has-correction --limit 10
  pelton trace list --has-feedback=false --status error --json")]
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        length: Length,
    },
    /// Show one call: messages, answer, timings, feedback.
    #[command(after_help = "Example:\n  pelton trace show inf_019…")]
    Show {
        /// The call's id.
        id: String,
    },
    /// Counts, latencies and scores.
    #[command(after_help = "\
Examples:
  pelton trace stats --by release
  pelton trace stats --endpoint telco-desk --by hour --of count,errors,latency_p95")]
    Stats {
        #[command(flatten)]
        filter: Filter,
        /// Grouped by: endpoint, release, model, status, minute, hour or day.
        #[arg(long, value_delimiter = ',', default_value = "endpoint")]
        by: Vec<String>,
        /// What is computed.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "count,errors,latency_p50,latency_p95,score_mean"
        )]
        of: Vec<String>,
    },
}

const LIST: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("at", |v| instant(&v["started_at"])),
    Column::text("endpoint", |v| plain(&v["endpoint"])),
    Column::text("release", |v| plain(&v["release_name"])),
    Column::text("status", |v| plain(&v["status"])),
    Column::number("latency", |v| millis(&v["latency_ms"])),
    Column::number("tokens", |v| {
        let tokens = |name: &str| v[name].as_u64().unwrap_or(0);
        (tokens("prompt_tokens") + tokens("completion_tokens")).to_string()
    }),
    Column::number("score", |v| plain(&v["feedback"]["score"])),
    Column::text("answer", |v| plain(&v["preview_output"])),
];

const SHOW: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("at", |v| instant(&v["started_at"])),
    Column::text("endpoint", |v| plain(&v["endpoint"])),
    Column::text("release", |v| plain(&v["release_name"])),
    Column::text("model", |v| plain(&v["model"])),
    Column::text("status", |v| plain(&v["status"])),
    Column::text("error", |v| plain(&v["error_code"])),
    Column::text("prompt tokens", |v| plain(&v["prompt_tokens"])),
    Column::text("answer tokens", |v| plain(&v["completion_tokens"])),
    Column::text("latency", |v| millis(&v["latency_ms"])),
    Column::text("first token", |v| millis(&v["ttft_ms"])),
];

const FEEDBACK: &[Column] = &[
    Column::text("at", |v| instant(&v["at"])),
    Column::text("source", |v| plain(&v["source"])),
    Column::number("score", |v| plain(&v["score"])),
    Column::text("label", |v| plain(&v["label"])),
    Column::text("correction", |v| plain(&v["correction"])),
    Column::text("comment", |v| plain(&v["comment"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::List { filter, length } => {
            let items = fetch(client, "/api/v1/traces", &filter.query(), length.limit).await?;
            out.list(&items, LIST, "No traces match. Send one: POST /v1/chat/completions.")?;
        }
        Verb::Show { id } => {
            let trace: Value = client.get(&format!("/api/v1/traces/{}", escape(&id))).await?;
            show(&trace, out)?;
        }
        Verb::Stats { filter, by, of } => {
            let request = json!({ "filter": filter.body(), "group_by": by, "aggregates": of });
            let answer: Value = client.post("/api/v1/traces/aggregate", &request).await?;
            stats(&answer, &by, &of, out)?;
        }
    }
    Ok(())
}

fn show(trace: &Value, out: &mut Terminal) -> std::io::Result<()> {
    out.one(trace, SHOW)?;
    for message in trace["messages"].as_array().into_iter().flatten() {
        out.say(&format!("\n[{}]\n{}", plain(&message["role"]), plain(&message["content"])))?;
    }
    out.say(&format!("\n[answer]\n{}", plain(&trace["output"])))?;
    let said = trace["feedback_items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !said.is_empty() && !out.is_json() {
        out.say("")?;
        out.list(said, FEEDBACK, "")?;
    }
    Ok(())
}

/// Columns follow what was asked for, so this table is written here.
fn stats(answer: &Value, by: &[String], of: &[String], out: &mut Terminal) -> std::io::Result<()> {
    if out.is_json() {
        return out.raw(answer);
    }
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return out.say("No traces match.");
    }
    let mut lines: Vec<Vec<String>> =
        vec![by.iter().chain(of).map(|name| name.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| {
        let groups = by.iter().map(|name| plain(&row["group"][name]));
        groups.chain(of.iter().map(|name| plain(&row["values"][name]))).collect()
    }));
    let widths: Vec<usize> = (0..by.len() + of.len())
        .map(|place| {
            lines
                .iter()
                .filter_map(|line| line.get(place))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(place, (cell, &width))| {
                if place < by.len() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            })
            .collect();
        out.say(cells.join("  ").trim_end())?;
    }
    Ok(())
}
