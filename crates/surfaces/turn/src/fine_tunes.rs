//! Fine-tunes of a turn.

use crate::jobs;
use crate::options::TurnOptions;
use crate::report::{Loss, Refit};
use crate::steps::Steps;
use anyhow::Context as _;
use pelton_client::Client;
use serde_json::{Value, json};

/// One fine-tune to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) dataset: String,
    pub(crate) rows: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) shuffled: bool,
}

/// Runs all of them, as many at a time as the server has room for.
pub(crate) async fn run_all(
    client: &Client,
    options: &TurnOptions,
    orders: &[Order],
    steps: &mut Steps,
) -> anyhow::Result<Vec<Refit>> {
    let mut waiting = Vec::new();
    for order in orders {
        let Order { name, dataset, rows, seed, shuffled } = order;
        let request = json!({
            "name": name, "base": options.base_ref(), "dataset": dataset, "train_rows": rows,
            "seed": seed, "shuffle_labels": shuffled, "max_minutes": options.minutes,
        });
        let job: Value = client.post("/api/v1/finetunes", &request).await?;
        let size = rows.map_or("all".into(), |rows| rows.to_string());
        waiting.push((format!("{name} on {size}, seed {seed}"), jobs::id(&job)?));
    }
    let results = jobs::wait_all(client, &waiting, steps).await?;
    orders
        .iter()
        .zip(waiting)
        .zip(results)
        .map(|((order, (_, job_id)), result)| {
            let model = result["model"].as_str().context("the fine-tune names no model")?;
            Ok(Refit {
                model: model.to_owned(),
                job_id,
                rows: order.rows,
                seed: order.seed,
                shuffled: order.shuffled,
                best_val_loss: result["best_val_loss"].as_f64(),
                seconds: result["train_seconds"].as_f64().unwrap_or(0.0),
                score: None,
                p_value: None,
                difference: None,
            })
        })
        .collect()
}

/// The loss curve of a fine-tune.
pub(crate) async fn losses(client: &Client, job_id: &str) -> anyhow::Result<Vec<Loss>> {
    let mut curve = Vec::new();
    let mut after: Option<i64> = None;
    loop {
        let from = after.map_or(String::new(), |seq| format!("&after={seq}"));
        let page: Value =
            client.get(&format!("/api/v1/jobs/{job_id}/metrics?limit=1000{from}")).await?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(last) = items.last() else { return Ok(curve) };
        after = last["seq"].as_i64();
        curve.extend(items.iter().map(|item| Loss {
            step: item["step"].as_u64().unwrap_or(0),
            train: item["values"]["loss"].as_f64(),
            validation: item["values"]["val_loss"].as_f64(),
        }));
        if items.len() < 1_000 || after.is_none() {
            return Ok(curve);
        }
    }
}
