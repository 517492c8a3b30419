//! Datasets of a turn: what was learned from traffic, what is held out.

use crate::ask::{kind, messages};
use crate::jobs;
use crate::steps::Steps;
use crate::telco::Item;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use pelton_client::{Client, escape};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Builds a version and returns it as the API gives it.
pub(crate) async fn build(
    client: &Client,
    name: &str,
    request: &Value,
    steps: &mut Steps,
) -> anyhow::Result<Value> {
    let path = format!("/api/v1/datasets/{}/versions", escape(name));
    let job: Value = client.post(&path, request).await?;
    let waiting = [(format!("dataset {name}"), jobs::id(&job)?)];
    let results = jobs::wait_all(client, &waiting, steps).await?;
    let reference = results.first().and_then(|result| result["dataset"].as_str());
    let reference = reference.context("the build names no dataset version")?;
    version(client, reference).await
}

/// A version by `name@version`.
async fn version(client: &Client, reference: &str) -> anyhow::Result<Value> {
    let (name, number) = reference.rsplit_once('@').context("a version reads name@version")?;
    let path = format!("/api/v1/datasets/{}/versions/{number}", escape(name));
    Ok(client.get(&path).await?)
}

/// Uploads rows and builds a version that keeps them as they are.
pub(crate) async fn upload(
    client: &Client,
    name: &str,
    lines: &[Value],
    steps: &mut Steps,
) -> anyhow::Result<Value> {
    let mut file = String::new();
    for line in lines {
        file.push_str(&line.to_string());
        file.push('\n');
    }
    let digest = client.upload(Bytes::from(file)).await?;
    let request = json!({
        "source": { "kind": "blob", "digest": digest },
        "scrub": [],
        "exact_dedup": false,
        "split": null,
    });
    let built = build(client, name, &request, steps).await?;
    let rows: u64 = ["train", "validation", "test"]
        .iter()
        .filter_map(|split| built["rows"][split].as_u64())
        .sum();
    if rows != lines.len() as u64 {
        bail!("{} of {} uploaded rows of {name} are kept: {}", rows, lines.len(), built["dropped"]);
    }
    Ok(built)
}

/// At most `most` rows of a version's split.
pub(crate) async fn rows(
    client: &Client,
    reference: &str,
    split: &str,
    most: usize,
) -> anyhow::Result<Vec<Value>> {
    let (name, number) = reference.rsplit_once('@').context("a version reads name@version")?;
    let path =
        format!("/api/v1/datasets/{}/versions/{number}/download?split={split}", escape(name));
    let bytes = client.download(&path).await?;
    let text = std::str::from_utf8(&bytes).context("a dataset is UTF-8")?;
    text.lines()
        .take(most)
        .map(|line| serde_json::from_str(line).context("a dataset holds JSON lines"))
        .collect()
}

/// A held-out question as an uploaded row.
pub(crate) fn test_row(item: &Item) -> Value {
    json!({
        "messages": messages(item), "answer": item.answer, "label": kind(item), "split": "test",
    })
}

/// A row of the pool as an uploaded training row: examples and constant answers come from these.
pub(crate) fn train_row(row: &Value) -> Value {
    json!({
        "messages": row["messages"], "answer": row["answer"], "label": row["label"], "split": "train",
    })
}

/// Questions of `held_out` that customers asked too: none, or the test is no test.
pub(crate) fn shared(traffic: &[Item], held_out: &[Item]) -> usize {
    let asked: HashSet<&str> = traffic.iter().map(|item| item.prompt.as_str()).collect();
    held_out.iter().filter(|item| asked.contains(item.prompt.as_str())).count()
}
