//! Evaluations of a turn.

use crate::jobs;
use crate::score::Score;
use crate::steps::Steps;
use anyhow::Context as _;
use pelton_client::{Client, escape};
use serde_json::{Value, json};

/// One evaluation to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) target: Value,
    pub(crate) suite: Value,
    pub(crate) few_shot: u64,
}

impl Order {
    pub(crate) fn new(name: impl Into<String>, target: Value, suite: &Value) -> Self {
        Self { name: name.into(), target, suite: suite.clone(), few_shot: 0 }
    }
}

/// The base alone.
pub(crate) fn base(model: &str) -> Value {
    json!({ "model": model })
}

/// The base with an adapter on.
pub(crate) fn adapted(model: &str, adapter: &str) -> Value {
    json!({ "model": model, "adapter": adapter })
}

/// Runs all of them; their scores in the same order.
pub(crate) async fn run_all(
    client: &Client,
    orders: &[Order],
    steps: &mut Steps,
) -> anyhow::Result<Vec<Score>> {
    let mut waiting = Vec::new();
    for Order { name, target, suite, few_shot } in orders {
        let request = json!({
            "name": name, "target": target, "suite": suite, "few_shot": few_shot,
        });
        let job: Value = client.post("/api/v1/evaluations", &request).await?;
        waiting.push((name.clone(), jobs::id(&job)?));
    }
    let mut scores = Vec::new();
    for result in jobs::wait_all(client, &waiting, steps).await? {
        let id = result["evaluation_id"].as_str().context("the evaluation has no id")?;
        let evaluation: Value = client.get(&format!("/api/v1/evaluations/{}", escape(id))).await?;
        scores.push(Score::read(&evaluation));
    }
    Ok(scores)
}

/// A candidate beside a baseline: the API's paired comparison.
pub(crate) async fn compare(
    client: &Client,
    baseline: &Score,
    candidate: &Score,
) -> anyhow::Result<Value> {
    let path = format!(
        "/api/v1/evaluations/compare?baseline={}&candidate={}",
        escape(&baseline.evaluation_id),
        escape(&candidate.evaluation_id)
    );
    Ok(client.get(&path).await?)
}
