//! Waits for several jobs at once.

use crate::steps::Steps;
use anyhow::bail;
use pelton_client::Client;
use serde_json::Value;
use std::time::Duration;

/// How often unfinished jobs are looked at.
const INTERVAL: Duration = Duration::from_millis(400);
/// Looks that a server may miss in a row: a restart takes a second or two.
const PATIENCE: u32 = 150;

/// The id of a job just asked for.
pub(crate) fn id(job: &Value) -> anyhow::Result<String> {
    match job["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => bail!("the server's answer names no job: {job}"),
    }
}

/// Waits until all `jobs` (name, id) succeeded; their results in the same order.
pub(crate) async fn wait_all(
    client: &Client,
    jobs: &[(String, String)],
    steps: &mut Steps,
) -> anyhow::Result<Vec<Value>> {
    let mut results: Vec<Option<Value>> = vec![None; jobs.len()];
    let mut missed = 0;
    loop {
        let mut message = String::new();
        let mut share = 0.0;
        for ((name, id), result) in jobs.iter().zip(&mut results) {
            if result.is_some() {
                share += 1.0;
                continue;
            }
            let job: Value = match client.get(&format!("/api/v1/jobs/{id}")).await {
                Ok(job) => job,
                Err(error) if error.is_transient() && missed < PATIENCE => {
                    missed += 1;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            missed = 0;
            match job["state"].as_str() {
                Some("succeeded") => *result = Some(job["result"].clone()),
                Some("failed" | "cancelled") => bail!("{}", failure(name, id, &job)),
                Some("running") => {
                    let progress = &job["progress"];
                    let part = progress["done"].as_f64().unwrap_or(0.0)
                        / progress["total"].as_f64().unwrap_or(0.0).max(1.0);
                    share += part.clamp(0.0, 1.0);
                    if message.is_empty() {
                        let said = progress["message"].as_str().unwrap_or_default();
                        message = format!("{name} {:.0} % {said}", part.clamp(0.0, 1.0) * 100.0);
                    }
                }
                _ => {}
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few jobs")]
        steps.at((share * 100.0) as u64, jobs.len() as u64 * 100, message.trim());
        if results.iter().all(Option::is_some) {
            return Ok(results.into_iter().flatten().collect());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn failure(name: &str, id: &str, job: &Value) -> String {
    let state = job["state"].as_str().unwrap_or_default();
    let message = job["error"]["message"].as_str().unwrap_or("no message");
    let hint = job["error"]["hint"].as_str().unwrap_or_default();
    format!("{name} ({id}) {state}: {message}. {hint} See `pelton job logs {id}`.")
}
