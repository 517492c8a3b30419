//! Builds a dataset version from logged calls or from an uploaded file.

use super::report::JobFailure;
use crate::job_command::Task;
use anyhow::Context as _;
use bytes::Bytes;
use pelton_client::escape;
use pelton_datasets::{
    BrokenRow, BuildConfig, InputRow, Provenance, ReadLimits, ScrubKind, Split, SplitConfig, build,
    read_rows, write_rows,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Deserialize)]
struct Spec {
    dataset: String,
    build: Build,
}

#[derive(Deserialize)]
struct Build {
    source: Source,
    use_corrections: bool,
    only_judged: bool,
    scrub: Vec<ScrubKind>,
    exact_dedup: bool,
    near_dedup: Option<f64>,
    split: Option<SplitConfig>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Source {
    Traces { filter: Value, limit: Option<u64> },
    Blob { digest: String },
}

/// Rows as they come in, and what could not be read.
struct Inputs {
    rows: Vec<InputRow>,
    broken: Vec<BrokenRow>,
    broken_total: u64,
    described: String,
}

pub async fn run(task: Task) -> anyhow::Result<Value> {
    let spec: Spec = serde_json::from_value(task.spec.clone()).context("the job's spec")?;
    task.report.progress(0, None, "rows", "reading rows");
    let inputs = match &spec.build.source {
        Source::Traces { filter, limit } => from_traces(&task, filter, *limit).await?,
        Source::Blob { digest } => from_blob(&task, digest).await?,
    };
    let read = inputs.rows.len() as u64;
    task.report.progress(read, Some(read), "rows", "curating");
    let config = BuildConfig {
        use_corrections: spec.build.use_corrections,
        only_judged: spec.build.only_judged,
        scrub: spec.build.scrub,
        exact_dedup: spec.build.exact_dedup,
        near_dedup: spec.build.near_dedup,
        split: spec.build.split,
    };
    let Inputs { rows, broken, broken_total, described } = inputs;
    let built = build(&spec.dataset, &described, rows, broken, broken_total, &config)
        .map_err(|error| JobFailure::input(error.to_string(), EMPTY_HINT))?;
    for row in &built.broken {
        task.report.warn(&format!("left out {}: {}", row.place, row.reason));
    }
    task.report.progress(read, Some(read), "rows", "publishing");
    let mut files = serde_json::Map::new();
    for split in Split::ALL {
        let mut bytes = Vec::new();
        let rows = built.rows.iter().filter(|row| row.split == split);
        let count = rows.clone().count();
        write_rows(rows, &mut bytes)?;
        let digest = task.client.upload(Bytes::from(bytes)).await?;
        files.insert(split.to_string(), json!({ "digest": digest, "rows": count }));
    }
    let output = json!({
        "dataset": spec.dataset,
        "files": files,
        "dropped": built.dropped,
        "scrubbed": built.scrubbed,
        "statistics": built.statistics,
        "card": built.card,
    });
    let path = format!("/api/v1/jobs/{}/outputs/dataset-version", task.id);
    let version: Value = task.client.post(&path, &output).await?;
    Ok(json!({ "dataset": version["name"], "version_id": version["id"], "rows": version["rows"] }))
}

const EMPTY_HINT: &str =
    "Widen the filter, send feedback with corrections, or turn off `only_judged`.";

async fn from_blob(task: &Task, digest: &str) -> anyhow::Result<Inputs> {
    let bytes = task.client.download(&format!("/api/v1/blobs/{}", escape(digest))).await?;
    let outcome = read_rows(bytes.as_ref(), ReadLimits::default())?;
    Ok(Inputs {
        rows: outcome.rows,
        broken: outcome.broken,
        broken_total: outcome.broken_total,
        described: format!("uploaded file {digest}"),
    })
}

async fn from_traces(task: &Task, filter: &Value, limit: Option<u64>) -> anyhow::Result<Inputs> {
    let mut path = String::from("/api/v1/traces/export?");
    for (name, value) in filter.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => write!(path, "{name}={}&", escape(text))?,
            other => write!(path, "{name}={other}&")?,
        }
    }
    if let Some(limit) = limit {
        write!(path, "limit={limit}")?;
    }
    let bytes = task.client.download(&path).await?;
    let mut rows = Vec::new();
    let mut broken = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let trace: Value = serde_json::from_slice(line).context("the server's export")?;
        match row_of_trace(&trace) {
            Ok(row) => rows.push(row),
            Err(reason) => {
                let id = trace["id"].as_str().unwrap_or_default();
                broken.push(BrokenRow { place: format!("call {id}"), reason });
            }
        }
    }
    // Newest first is how calls are listed; datasets read in the order of time.
    rows.reverse();
    let broken_total = broken.len() as u64;
    Ok(Inputs { rows, broken, broken_total, described: format!("logged calls with {filter}") })
}

/// A logged call as a row: the newest correction wins, scores are averaged.
fn row_of_trace(trace: &Value) -> Result<InputRow, String> {
    let status = trace["status"].as_str().unwrap_or_default();
    let feedback = trace["feedback_items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let corrected = feedback
        .iter()
        .filter(|item| item["correction"].is_string())
        .max_by(|left, right| left["at"].as_str().cmp(&right["at"].as_str()));
    if status != "ok" && corrected.is_none() {
        return Err(format!("the call ended as {status} and nobody corrected it"));
    }
    let messages = trace["messages"].as_array().cloned().unwrap_or_default();
    if messages.is_empty() {
        return Err("the call holds no messages".into());
    }
    let label = feedback.iter().rev().find_map(|item| item["label"].as_str());
    let feedback_id = corrected.and_then(|item| item["id"].as_str()).map(str::to_owned);
    Ok(InputRow {
        messages,
        answer: trace["output"].as_str().unwrap_or_default().to_owned(),
        correction: corrected.and_then(|item| item["correction"].as_str()).map(str::to_owned),
        score: trace["feedback"]["score"].as_f64(),
        label: label.or_else(|| trace["tags"]["label"].as_str()).map(str::to_owned),
        split: None,
        provenance: Provenance::trace(trace["id"].as_str().unwrap_or_default(), feedback_id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_correction_wins() {
        let trace = json!({
            "id": "inf_1", "status": "ok", "output": "old",
            "messages": [{ "role": "user", "content": "q" }],
            "feedback": { "score": 0.5 }, "tags": {},
            "feedback_items": [
                { "id": "fb_2", "at": "2026-01-02T00:00:00Z", "correction": "new", "label": null },
                { "id": "fb_1", "at": "2026-01-01T00:00:00Z", "correction": "older", "label": "x" },
            ],
        });
        let row = row_of_trace(&trace).expect("a row");
        assert_eq!(row.correction.as_deref(), Some("new"));
        assert_eq!(row.label.as_deref(), Some("x"));
        assert_eq!(row.provenance.feedback_id.as_deref(), Some("fb_2"));
    }

    #[test]
    fn a_failed_call_is_a_row_only_when_corrected() {
        let failed = json!({ "id": "inf_1", "status": "error", "messages": [{}] });
        assert_eq!(
            row_of_trace(&failed).expect_err("no row"),
            "the call ended as error and nobody corrected it"
        );
    }
}
