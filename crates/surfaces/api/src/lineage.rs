//! From a release back to the rows that it learned from.

use crate::error::ApiError;
use crate::manifest;
use crate::routes::{datasets, evaluations, gates, jobs, models, releases};
use crate::state::Api;
use crate::wire::release::Lineage;
use pelton_context::OpContext;
use pelton_metadata as store;
use serde_json::{Value, json};

/// Rows shown as a sample.
const SAMPLE: usize = 20;

/// Everything that `release` comes from.
///
/// # Errors
/// When a part that the release names cannot be read.
pub async fn of(
    api: &Api,
    caller: &OpContext,
    release: store::Release,
) -> Result<Lineage, ApiError> {
    let model = match &release.bundle.model {
        Some(reference) => Some(api.store.model_get(caller, reference).await?),
        None => None,
    };
    let adapter = match &release.bundle.adapter {
        Some(reference) => Some(api.store.model_get(caller, reference).await?),
        None => None,
    };
    let origin = adapter.as_ref().and_then(|adapter| adapter.lineage.clone());
    let dataset = match origin.as_ref().and_then(|origin| origin["dataset"].as_str()) {
        Some(name) => Some(api.store.dataset_version_get(caller, name).await?),
        None => None,
    };
    let training = match adapter.as_ref().and_then(|adapter| adapter.job_id) {
        Some(job) => Some(api.store.job_get(caller, job).await?),
        None => None,
    };
    let gate = match release.gate {
        Some(gate) => Some(gates::wire(api.store.gate_get(caller, gate).await?)),
        None => None,
    };
    let rows = match &dataset {
        Some(version) => rows(api, version).await?,
        None => json!({ "total": 0, "corrections": 0, "sample": [] }),
    };
    Ok(Lineage {
        evaluations: of_target(api, caller, &release.bundle).await?,
        release: releases::wire(release),
        model: model.map(models::wire),
        adapter: adapter.map(models::wire),
        dataset_version: dataset.map(|version| json!(datasets::wire_version(version))),
        training_job: training.map(|job| json!(jobs::wire(job))),
        hyperparameters: origin.map(|origin| origin["hyperparameters"].clone()),
        gate,
        rows,
    })
}

/// The evaluations of a release's model and adapter, newest first.
async fn of_target(
    api: &Api,
    caller: &OpContext,
    bundle: &store::Bundle,
) -> Result<Vec<crate::wire::evaluation::Evaluation>, ApiError> {
    let all = store::Page::first(store::MAX_PAGE);
    let found = api.store.evaluation_list(caller, &all).await?.items;
    Ok(found
        .into_iter()
        .filter(|evaluation| {
            let target = &evaluation.target;
            bundle.model.is_some()
                && target["model"].as_str() == bundle.model.as_deref()
                && target["adapter"].as_str() == bundle.adapter.as_deref()
        })
        .map(evaluations::wire)
        .collect())
}

async fn rows(api: &Api, version: &store::DatasetVersion) -> Result<Value, ApiError> {
    let file = manifest::file(api, version.digest, "train.jsonl").await?;
    let text = manifest::read_text(api, file).await?;
    let mut total = 0;
    let mut corrections = 0;
    let mut sample = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).map_err(|error| ApiError::internal(&error))?;
        let provenance = &row["provenance"];
        total += 1;
        corrections += usize::from(!provenance["feedback_id"].is_null());
        if sample.len() < SAMPLE {
            sample.push(json!({
                "hash": row["hash"],
                "inference_id": provenance["inference_id"],
            }));
        }
    }
    Ok(json!({ "total": total, "corrections": corrections, "sample": sample }))
}
