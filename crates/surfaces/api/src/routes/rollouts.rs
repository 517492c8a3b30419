//! Rollouts: from one release to another by stages.

use super::releases::find;
use super::{Answer, Made, Shared, page_of};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::state::Api;
use crate::wire::page::{Page, PageQuery};
use crate::wire::rollout::{Rollout, StartRollout};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_context::OpContext;
use pelton_ids::Micros;
use pelton_metadata as store;
use pelton_rollout::{
    Decision, Observed, RolloutConfig, RolloutPhase, RolloutState, Step, promote_now,
    roll_back_now, start,
};
use serde_json::{Value, json};

pub async fn wire(
    api: &Api,
    caller: &OpContext,
    rollout: store::Rollout,
) -> Result<Rollout, ApiError> {
    let decisions = api.store.rollout_decisions(caller, rollout.id).await?;
    Ok(Rollout {
        id: rollout.id.to_string(),
        endpoint: rollout.endpoint,
        baseline: rollout.baseline.to_string(),
        candidate: rollout.candidate.to_string(),
        baseline_name: rollout.baseline_name,
        candidate_name: rollout.candidate_name,
        state: rollout.state.to_string(),
        stage: i64::from(rollout.stage),
        stages: rollout.stages,
        weight: rollout.weight,
        started_at: rollout.started_at.to_string(),
        ended_at: rollout.ended_at.map(|at| at.to_string()),
        reason: rollout.reason,
        decisions: json!(decisions),
    })
}

/// Start bringing in a release by stages.
#[utoipa::path(post, path = "/api/v1/rollouts", tag = "rollouts", request_body = StartRollout, responses((status = 201, body = Rollout)))]
pub async fn start_rollout(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<StartRollout>,
) -> Made<Rollout> {
    let candidate = find(&api, &caller, &request.candidate).await?;
    let gate = match &request.gate {
        Some(gate) => Some(parse(gate)?),
        None => candidate.gate,
    };
    if let Some(gate) = gate
        && request.override_gate.is_none()
    {
        let gate = api.store.gate_get(&caller, gate).await?;
        if !gate.passed {
            let failed = gate.rules.iter().filter(|rule| !rule.passed);
            let reasons: Vec<&str> = failed.map(|rule| rule.detail.as_str()).collect();
            return Err(ApiError::new(Code::GateFailed, reasons.join("; ")));
        }
    }
    let config = RolloutConfig {
        stages: request.stages,
        min_requests_per_stage: request.min_requests_per_stage,
        max_error_rate_increase: request.max_error_rate_increase,
        max_feedback_drop: request.max_feedback_drop,
        min_feedback: request.min_feedback,
        ..RolloutConfig::default()
    };
    let begun = start(&config, api.store.now())
        .map_err(|error| ApiError::new(Code::InvalidRequest, error.to_string()))?;
    let new = store::NewRollout {
        endpoint: request.endpoint,
        candidate: candidate.id,
        policy: store::RolloutPolicy {
            min_requests_per_stage: config.min_requests_per_stage,
            max_error_rate_increase: config.max_error_rate_increase,
            max_feedback_drop: config.max_feedback_drop,
            min_feedback: config.min_feedback,
        },
        stages: config.stages,
        machine: json!(begun.state),
        gate,
        override_gate: request.override_gate,
        decision: begun.decision.map_or_else(started_now, stored_decision),
    };
    let started = api.store.rollout_start(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(wire(&api, &caller, started).await?)))
}

/// List rollouts, newest first.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "rollouts", params(PageQuery), responses((status = 200, body = Page<Rollout>)))]
pub async fn list_rollouts(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Rollout>> {
    let found = api.store.rollout_list(&caller, None, &page_of(&query)).await?;
    let mut items = Vec::new();
    for rollout in found.items {
        items.push(wire(&api, &caller, rollout).await?);
    }
    Ok(Json(Page { items, next_cursor: found.next_cursor }))
}

/// Read one rollout with its decisions.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", tag = "rollouts", params(("id" = String, Path)), responses((status = 200, body = Rollout)))]
pub async fn get_rollout(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Rollout> {
    let rollout = api.store.rollout_get(&caller, parse(&id)?).await?;
    Ok(Json(wire(&api, &caller, rollout).await?))
}

/// What is logged for a start that says nothing of itself.
fn started_now() -> store::NewDecision {
    let reason = String::from("started");
    store::NewDecision { action: "start".into(), reason, stage: 0, observed: Value::Null }
}

/// A decision as it is stored.
fn stored_decision(decision: Decision) -> store::NewDecision {
    let Decision { at: _, action, reason, stage, observed } = decision;
    store::NewDecision {
        action: json!(action).as_str().unwrap_or_default().to_owned(),
        reason,
        stage: u32::try_from(stage).unwrap_or(u32::MAX),
        observed: json!(observed),
    }
}

/// Ends a running rollout by hand. A change that came between is read and tried again.
async fn end(
    api: &Api,
    caller: &OpContext,
    id: &str,
    by_hand: fn(&RolloutState, &str, &Observed, Micros) -> Step,
) -> Answer<Rollout> {
    let id = parse(id)?;
    loop {
        let rollout = api.store.rollout_get(caller, id).await?;
        let state: RolloutState = serde_json::from_value(rollout.machine.clone())
            .map_err(|error| ApiError::internal(&error))?;
        let by = &caller.principal.name;
        let Step { state, actions: _, decision } =
            by_hand(&state, by, &Observed::default(), api.store.now());
        let update = store::RolloutUpdate {
            state: match state.phase {
                RolloutPhase::Running => store::RolloutState::Running,
                RolloutPhase::Promoted => store::RolloutState::Promoted,
                RolloutPhase::RolledBack => store::RolloutState::RolledBack,
                RolloutPhase::Cancelled => store::RolloutState::Cancelled,
            },
            stage: rollout.stage,
            weight: state.weight,
            machine: json!(state),
            decision: decision.map(stored_decision),
        };
        match api.store.rollout_update(caller, id, rollout.revision, update).await {
            Err(store::StoreError::Stale { .. }) => {}
            ended => return Ok(Json(wire(api, caller, ended?).await?)),
        }
    }
}

/// Give the candidate all traffic now.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/promote", tag = "rollouts", params(("id" = String, Path)), responses((status = 200, body = Rollout)))]
pub async fn promote_rollout(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Rollout> {
    end(&api, &caller, &id, promote_now).await
}

/// Give the baseline all traffic again, now.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/rollback", tag = "rollouts", params(("id" = String, Path)), responses((status = 200, body = Rollout)))]
pub async fn roll_back_rollout(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Rollout> {
    end(&api, &caller, &id, roll_back_now).await
}
