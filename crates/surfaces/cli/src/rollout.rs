//! `pelton rollout`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton rollout`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Bring a release to an endpoint by stages, guarded by errors and feedback.
    #[command(after_help = "\
Examples:
  pelton rollout start telco-desk rel_019… --gate gate_019…
  pelton rollout start telco-desk rel_019… --stages 5,25,100 --min-feedback 0")]
    Start {
        /// The endpoint.
        endpoint: String,
        /// The release.
        candidate: String,
        /// Percent of the traffic per stage.
        #[arg(long, value_delimiter = ',', default_value = "10,50,100")]
        stages: Vec<u32>,
        /// Requests that the candidate answers in each stage.
        #[arg(long, default_value_t = 50)]
        min_requests: u64,
        /// How much higher its error rate may be, as a share.
        #[arg(long, default_value_t = 0.02)]
        max_error_rate_increase: f64,
        /// How much lower its mean score may be.
        #[arg(long, default_value_t = 0.1)]
        max_feedback_drop: f64,
        /// Scores that both need; 0 goes on without feedback.
        #[arg(long, default_value_t = 20)]
        min_feedback: u64,
        /// The gate that it passed.
        #[arg(long)]
        gate: Option<String>,
        /// Why to go on although the gate did not pass.
        #[arg(long, value_name = "REASON")]
        override_gate: Option<String>,
    },
    /// List rollouts, newest first.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show a rollout with its decisions.
    Show {
        /// The rollout's id.
        id: String,
    },
    /// Give the candidate all traffic now.
    Promote {
        /// The rollout's id.
        id: String,
    },
    /// Give the baseline all traffic again, now.
    Rollback {
        /// The rollout's id.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("endpoint", |v| plain(&v["endpoint"])),
    Column::text("from", |v| plain(&v["baseline_name"])),
    Column::text("to", |v| plain(&v["candidate_name"])),
    Column::text("state", |v| plain(&v["state"])),
    Column::number("weight", |v| format!("{} %", plain(&v["weight"]))),
    Column::text("started", |v| instant(&v["started_at"])),
    Column::text("reason", |v| plain(&v["reason"])),
];

const DECISIONS: &[Column] = &[
    Column::text("at", |v| instant(&v["at"])),
    Column::text("decision", |v| plain(&v["action"]).replace('_', " ")),
    Column::number("stage", |v| plain(&v["stage"])),
    Column::number("requests", |v| plain(&v["observed"]["candidate"]["requests"])),
    Column::number("errors", |v| plain(&v["observed"]["candidate"]["errors"])),
    Column::number("score", |v| plain(&v["observed"]["candidate"]["score_mean"])),
    Column::text("reason", |v| plain(&v["reason"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let path = |id: &str| format!("/api/v1/rollouts/{}", escape(id));
    match verb {
        Verb::Start {
            endpoint,
            candidate,
            stages,
            min_requests,
            max_error_rate_increase,
            max_feedback_drop,
            min_feedback,
            gate,
            override_gate,
        } => {
            let request = json!({
                "endpoint": endpoint, "candidate": candidate, "stages": stages,
                "min_requests_per_stage": min_requests,
                "max_error_rate_increase": max_error_rate_increase,
                "max_feedback_drop": max_feedback_drop, "min_feedback": min_feedback,
                "gate": gate, "override_gate": override_gate,
            });
            let begun: Value = client.post("/api/v1/rollouts", &request).await?;
            out.one(&begun, COLUMNS)?;
        }
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/rollouts", &Query::default(), length.limit).await?;
            out.list(&items, COLUMNS, "No rollouts.")?;
        }
        Verb::Show { id } => show(&client.get(&path(&id)).await?, out)?,
        Verb::Promote { id } => {
            let done: Value = client.post(&format!("{}/promote", path(&id)), &json!({})).await?;
            show(&done, out)?;
        }
        Verb::Rollback { id } => {
            let done: Value = client.post(&format!("{}/rollback", path(&id)), &json!({})).await?;
            show(&done, out)?;
        }
    }
    Ok(())
}

fn show(rollout: &Value, out: &mut Terminal) -> std::io::Result<()> {
    out.one(rollout, COLUMNS)?;
    let log = rollout["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !log.is_empty() && !out.is_json() {
        out.say("")?;
        out.list(log, DECISIONS, "")?;
    }
    Ok(())
}
