//! Evaluations and their comparison.

use super::jobs::{self, Work};
use super::{Answer, Made, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::compare;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::manifest;
use crate::wire::evaluation::{
    CompareQuery, Comparison, Evaluation, EvaluationRequest, SamplesQuery, Suite, Target,
};
use crate::wire::job::{EvaluationSummary, Job};
use crate::wire::page::{Page, PageQuery};
use axum::Json;
use axum::extract::{Path, State};
use pelton_metadata as store;
use serde_json::{Value, json};

pub fn wire(evaluation: store::Evaluation) -> Evaluation {
    let store::Evaluation { id, name, target, suite, summary, samples: _, job_id, created_at } =
        evaluation;
    let summary: EvaluationSummary = serde_json::from_value(summary).unwrap_or_else(|error| {
        tracing::error!(%id, %error, "an evaluation's summary cannot be read");
        EvaluationSummary {
            n: 0,
            unscored: 0,
            exact_match: Value::Null,
            macro_f1: None,
            per_class: json!([]),
            by_group: json!([]),
            mean_latency_ms: None,
        }
    });
    Evaluation {
        id: id.to_string(),
        name,
        target,
        suite,
        n: summary.n,
        unscored: summary.unscored,
        exact_match: summary.exact_match,
        macro_f1: summary.macro_f1,
        per_class: summary.per_class,
        by_group: summary.by_group,
        mean_latency_ms: summary.mean_latency_ms,
        created_at: created_at.to_string(),
        job_id: job_id.map(|job| job.to_string()),
    }
}

/// Score a target.
#[utoipa::path(post, path = "/api/v1/evaluations", tag = "evaluations", request_body = EvaluationRequest, responses((status = 202, body = Job)))]
pub async fn create_evaluation(
    State(api): Shared,
    Caller(caller): Caller,
    Body(mut request): Body<EvaluationRequest>,
) -> Made<Job> {
    match &mut request.target {
        Target::Model { model, adapter } => {
            // What is scored must not change while the job waits: names get their versions.
            *model = api.store.model_get(&caller, model).await?.reference;
            if let Some(adapter) = adapter {
                *adapter = api.store.model_get(&caller, adapter).await?.reference;
            }
        }
        Target::Endpoint { endpoint } => {
            api.store.endpoint_get(&caller, endpoint).await?;
        }
        Target::Constant { constant: true } => {}
        Target::Constant { constant: false } => {
            return Err(ApiError::new(Code::InvalidRequest, "`constant` can only be true"));
        }
    }
    match &mut request.suite {
        Suite::Dataset { dataset, .. } => {
            *dataset = api.store.dataset_version_get(&caller, dataset).await?.name;
        }
        Suite::Builtin { builtin, .. } if builtin == "regression" => {}
        Suite::Builtin { builtin, .. } => {
            let message = format!("`{builtin}` does not come with Pelton: there is `regression`");
            return Err(ApiError::new(Code::InvalidRequest, message));
        }
    }
    let title = format!("Evaluate {}", request.name);
    jobs::enqueue(&api, &caller, Work { kind: "evaluation", title, spec: json!(request) }).await
}

/// List evaluations, newest first.
#[utoipa::path(get, path = "/api/v1/evaluations", tag = "evaluations", params(PageQuery), responses((status = 200, body = Page<Evaluation>)))]
pub async fn list_evaluations(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Evaluation>> {
    Ok(listing(api.store.evaluation_list(&caller, &page_of(&query)).await?, wire))
}

/// Read one evaluation.
#[utoipa::path(get, path = "/api/v1/evaluations/{id}", tag = "evaluations", params(("id" = String, Path)), responses((status = 200, body = Evaluation)))]
pub async fn get_evaluation(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Evaluation> {
    Ok(Json(wire(api.store.evaluation_get(&caller, parse(&id)?).await?)))
}

/// List an evaluation's samples in their order.
#[utoipa::path(get, path = "/api/v1/evaluations/{id}/samples", tag = "evaluations", params(("id" = String, Path), SamplesQuery), responses((status = 200, body = Page<Value>)))]
pub async fn list_samples(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(query): Query<SamplesQuery>,
) -> Answer<Page<Value>> {
    let evaluation = api.store.evaluation_get(&caller, parse(&id)?).await?;
    let limit = query.limit.unwrap_or(50).clamp(1, 1_000) as usize;
    let from: usize = query.cursor.as_deref().map_or(Ok(0), parse)?;
    let text = manifest::read_text(&api, evaluation.samples).await?;
    let mut items = Vec::new();
    let mut next_cursor = None;
    for (place, line) in text.lines().enumerate().skip(from) {
        let sample: Value =
            serde_json::from_str(line).map_err(|error| ApiError::internal(&error))?;
        if query.correct.is_some_and(|wanted| sample["correct"] != json!(wanted)) {
            continue;
        }
        if items.len() == limit {
            next_cursor = Some(place.to_string());
            break;
        }
        items.push(sample);
    }
    Ok(Json(Page { items, next_cursor }))
}

/// Compare two evaluations on the items that both have.
#[utoipa::path(get, path = "/api/v1/evaluations/compare", tag = "evaluations", params(CompareQuery), responses((status = 200, body = Comparison)))]
pub async fn compare_evaluations(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<CompareQuery>,
) -> Answer<Comparison> {
    let compared = compare::load(&api, &caller, &query.baseline, &query.candidate).await?;
    Ok(Json(compare::wire(compared)))
}
