//! `pelton job`.

use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// Verbs of `pelton job`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List jobs, newest first.
    #[command(after_help = "Example:\n  pelton job list --kind finetune --state running")]
    List {
        /// dataset_build, finetune, finetune_search or evaluation.
        #[arg(long)]
        kind: Option<String>,
        /// queued, running, succeeded, failed or cancelled.
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        length: Length,
    },
    /// Show a job.
    Show {
        /// The job's id.
        id: String,
    },
    /// Watch a job to its end; exits with 4 when it fails.
    Watch {
        /// The job's id.
        id: String,
    },
    /// Print a job's log.
    Logs {
        /// The job's id.
        id: String,
    },
    /// Stop a job. What it has made so far is dropped.
    Cancel {
        /// The job's id.
        id: String,
    },
}

fn progress(job: &Value) -> String {
    let number = |name: &str| job["progress"][name].as_f64().unwrap_or(0.0);
    if number("total") <= 0.0 {
        return "-".into();
    }
    format!("{:.0} %", number("done") / number("total") * 100.0)
}

const LIST: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("kind", |v| plain(&v["kind"])),
    Column::text("state", |v| plain(&v["state"])),
    Column::number("done", progress),
    Column::text("asked", |v| instant(&v["created_at"])),
    Column::text("title", |v| plain(&v["title"])),
];

const SHOW: &[Column] = &[
    Column::text("id", |v| plain(&v["id"])),
    Column::text("kind", |v| plain(&v["kind"])),
    Column::text("title", |v| plain(&v["title"])),
    Column::text("state", |v| plain(&v["state"])),
    Column::text("done", progress),
    Column::text("message", |v| plain(&v["progress"]["message"])),
    Column::text("attempt", |v| plain(&v["attempt"])),
    Column::text("asked", |v| instant(&v["created_at"])),
    Column::text("started", |v| instant(&v["started_at"])),
    Column::text("ended", |v| instant(&v["ended_at"])),
    Column::text("error", |v| plain(&v["error"]["message"])),
    Column::text("hint", |v| plain(&v["error"]["hint"])),
    Column::text("result", |v| plain(&v["result"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let path = |id: &str| format!("/api/v1/jobs/{}", escape(id));
    match verb {
        Verb::List { kind, state, length } => {
            let query = Query::default().with("kind", kind).with("state", state);
            let items = fetch(client, "/api/v1/jobs", &query, length.limit).await?;
            out.list(&items, LIST, "No jobs.")?;
        }
        Verb::Show { id } => out.one(&client.get(&path(&id)).await?, SHOW)?,
        Verb::Watch { id } => out.watch(client, &id).await?,
        Verb::Logs { id } => logs(&path(&id), client, out).await?,
        Verb::Cancel { id } => {
            let job: Value = client.post(&format!("{}/cancel", path(&id)), &json!({})).await?;
            out.one(&job, SHOW)?;
        }
    }
    Ok(())
}

async fn logs(path: &str, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let mut after: Option<i64> = None;
    loop {
        let asked = Query::default().with("after", after).on(&format!("{path}/logs"));
        let page: Value = client.get(&asked).await?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        for item in items {
            if out.is_json() {
                out.bytes(format!("{item}\n").as_bytes())?;
            } else {
                let (at, level) = (instant(&item["at"]), plain(&item["level"]));
                out.say(&format!("{at} {level:5} {}", plain(&item["message"])))?;
            }
        }
        match items.last().and_then(|item| item["seq"].as_i64()) {
            Some(seq) => after = Some(seq),
            None => return Ok(()),
        }
    }
}
