//! Gate, releases, and a rollout under live traffic.

use crate::ask::ask_all;
use crate::options::Plan;
use crate::steps::Steps;
use crate::telco::{Split, item};
use anyhow::{Context as _, bail};
use pelton_client::{Client, ClientError, escape};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Questions between two looks at a rollout.
const ROUND: u64 = 96;
/// How long a rollout may take.
const PATIENCE: Duration = Duration::from_secs(420);
/// The first question of the rollout's traffic: none that was asked before.
const FIRST_QUESTION: u64 = 1_000_000;

/// Makes a release with greedy decoding.
pub(crate) async fn create(
    client: &Client,
    name: &str,
    model: &str,
    adapter: Option<&str>,
    gate: Option<&str>,
) -> anyhow::Result<Value> {
    let request = json!({
        "name": name, "model": model, "adapter": adapter, "gate": gate,
        "sampling": { "temperature": 0.0, "max_tokens": 64 },
    });
    Ok(client.post("/api/v1/releases", &request).await?)
}

/// Points an endpoint at one release.
pub(crate) async fn point(client: &Client, endpoint: &str, release: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/endpoints/{}", escape(endpoint));
    let request = json!({ "traffic": [{ "release_id": release, "weight": 100 }] });
    Ok(client.put(&path, &request).await?)
}

/// Ends a rollout that an interrupted turn left behind, so that the endpoint can be set.
pub(crate) async fn clear(client: &Client, endpoint: &str) -> anyhow::Result<()> {
    let found: Result<Value, ClientError> =
        client.get(&format!("/api/v1/endpoints/{}", escape(endpoint))).await;
    match found {
        Ok(found) if found["rollout"]["state"] == "running" => {
            let id = found["rollout"]["id"].as_str().unwrap_or_default();
            let _ended: Value =
                client.post(&format!("/api/v1/rollouts/{id}/rollback"), &json!({})).await?;
            Ok(())
        }
        Ok(_) | Err(ClientError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Rolls a release out while customers go on asking, until it is promoted or rolled back.
pub(crate) async fn roll_out(
    client: &Client,
    endpoint: &str,
    candidate: &str,
    gate: &str,
    plan: &Plan,
    steps: &mut Steps,
) -> anyhow::Result<Value> {
    let request = json!({
        "endpoint": endpoint, "candidate": candidate, "gate": gate,
        "stages": [10, 50, 100],
        "min_requests_per_stage": plan.per_stage,
        "min_feedback": plan.feedback,
    });
    let rollout: Value = client.post("/api/v1/rollouts", &request).await?;
    let id = rollout["id"].as_str().context("the rollout has no id")?.to_owned();
    let path = format!("/api/v1/rollouts/{id}");
    let begun = Instant::now();
    let mut asked = FIRST_QUESTION;
    loop {
        let rollout: Value = client.get(&path).await?;
        let state = rollout["state"].as_str().unwrap_or_default();
        if state != "running" {
            return Ok(rollout);
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "the rollout {id} did not end within {} s: {}",
                PATIENCE.as_secs(),
                rollout["decisions"]
            );
        }
        let weight = rollout["weight"].as_u64().unwrap_or(0);
        steps.note(&format!("the candidate answers {weight} % of the traffic"));
        let items = (asked..asked + ROUND).map(|i| item(Split::Traffic, 1, i)).collect();
        asked += ROUND;
        ask_all(client, endpoint, items, |_| true, steps).await?;
        // The server looks at the counts once a second.
        wait_for_change(client, &path, &rollout).await?;
    }
}

/// Waits until the rollout moves on, at most for as long as the server needs to look twice.
async fn wait_for_change(client: &Client, path: &str, before: &Value) -> anyhow::Result<()> {
    for _ in 0..6 {
        let now: Value = client.get(path).await?;
        if now["state"] != before["state"] || now["stage"] != before["stage"] {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
    Ok(())
}
