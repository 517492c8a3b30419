//! `pelton server`.

use crate::table::{Column, millis, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::Client;
use serde_json::{Value, json};

/// Verbs of `pelton server`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Whether the server is there, and what it holds.
    Status,
}

const STATUS: &[Column] = &[
    Column::text("version", |v| plain(&v["server"]["version"])),
    Column::text("project", |v| plain(&v["server"]["project"]["name"])),
    Column::text("engine", |v| plain(&v["overview"]["engine"]["state"])),
    Column::text("models", |v| plain(&v["overview"]["engine"]["models"])),
    Column::text("requests, 24 h", |v| plain(&v["overview"]["serve"]["requests_24h"])),
    Column::text("errors, 24 h", |v| plain(&v["overview"]["serve"]["errors_24h"])),
    Column::text("latency, median", |v| millis(&v["overview"]["serve"]["latency_p50_ms"])),
    Column::text("traces", |v| plain(&v["overview"]["observe"]["traces"])),
    Column::text("corrections", |v| plain(&v["overview"]["observe"]["corrections"])),
    Column::text("dataset versions", |v| plain(&v["overview"]["curate"]["versions"])),
    Column::text("jobs running", |v| plain(&v["overview"]["tune"]["running"])),
    Column::text("evaluations", |v| plain(&v["overview"]["evaluate"]["evaluations"])),
    Column::text("endpoints", |v| plain(&v["overview"]["release"]["endpoints"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Verb::Status = verb;
    let server: Value = client.get("/api/v1/server").await?;
    let overview: Value = client.get("/api/v1/overview").await?;
    Ok(out.one(&json!({ "server": server, "overview": overview }), STATUS)?)
}
