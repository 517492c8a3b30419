//! Gates: decisions over evaluations.

use super::{Answer, Made, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::compare::{self, Compared};
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::wire::gate::{Gate, GateRequest};
use crate::wire::page::{Page, PageQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_metadata::{GateRule, NewGate};
use serde_json::json;

pub fn wire(gate: pelton_metadata::Gate) -> Gate {
    let pelton_metadata::Gate { id, passed, rules, task, regression, created_at } = gate;
    Gate {
        id: id.to_string(),
        passed,
        rules: json!(rules),
        task,
        regression,
        created_at: created_at.to_string(),
    }
}

/// Decide whether a candidate may be released, and keep the decision with its reasons.
#[utoipa::path(post, path = "/api/v1/gates", tag = "gates", request_body = GateRequest, responses((status = 201, body = Gate)))]
pub async fn create_gate(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<GateRequest>,
) -> Made<Gate> {
    let task =
        compare::load(&api, &caller, &request.task.baseline, &request.task.candidate).await?;
    let regression = match &request.regression {
        None => None,
        Some(rule) => Some(compare::load(&api, &caller, &rule.baseline, &rule.candidate).await?),
    };
    for compared in std::iter::once(&task).chain(&regression) {
        refuse_empty(compared)?;
    }
    let decision = compare::decide(&request, &task, regression.as_ref());
    let rules = decision
        .rules
        .into_iter()
        .map(|rule| GateRule { name: rule.name, passed: rule.passed, detail: rule.detail })
        .collect();
    let made = api
        .store
        .gate_create(
            &caller,
            NewGate {
                passed: decision.passed,
                rules,
                task: json!(request.task),
                regression: request.regression.as_ref().map(|rule| json!(rule)),
            },
        )
        .await?;
    Ok((StatusCode::CREATED, Json(wire(made))))
}

fn refuse_empty(compared: &Compared) -> Result<(), ApiError> {
    if compared.comparison.n_paired > 0 {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Unprocessable,
        format!(
            "evaluations {} and {} have no item in common",
            compared.baseline.id, compared.candidate.id
        ),
    )
    .hint("Evaluate both on the same rows of the same dataset version."))
}

/// List decisions, newest first.
#[utoipa::path(get, path = "/api/v1/gates", tag = "gates", params(PageQuery), responses((status = 200, body = Page<Gate>)))]
pub async fn list_gates(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Gate>> {
    Ok(listing(api.store.gate_list(&caller, &page_of(&query)).await?, wire))
}

/// Read one decision.
#[utoipa::path(get, path = "/api/v1/gates/{id}", tag = "gates", params(("id" = String, Path)), responses((status = 200, body = Gate)))]
pub async fn get_gate(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Gate> {
    Ok(Json(wire(api.store.gate_get(&caller, parse(&id)?).await?)))
}
