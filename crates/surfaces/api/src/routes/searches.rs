//! Searches of hyperparameters.

use super::jobs::{Work, enqueue, trainable_base, trainable_dataset, within};
use super::{Made, Shared};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::Body;
use crate::wire::job::Job;
use crate::wire::search::{SearchRange, SearchRequest};
use axum::extract::State;
use pelton_context::Scope;
use serde_json::json;

/// Values of one list at most.
const MOST_VALUES: usize = 64;
/// Trials at most.
const MOST_TRIALS: f64 = 1_000.0;

/// Search hyperparameters.
#[utoipa::path(post, path = "/api/v1/searches", tag = "jobs", request_body = SearchRequest, responses((status = 202, body = Job)))]
pub async fn create_search(
    State(api): Shared,
    Caller(caller): Caller,
    Body(mut request): Body<SearchRequest>,
) -> Made<Job> {
    caller.require(Scope::Write)?;
    check(&request)?;
    request.base = trainable_base(&api, &caller, &request.base).await?.reference;
    request.dataset = trainable_dataset(&api, &caller, &request.dataset).await?.name;
    let title = format!("Search hyperparameters of {} on {}", request.name, request.dataset);
    enqueue(&api, &caller, Work { kind: "finetune_search", title, spec: json!(request) }).await
}

#[expect(clippy::cast_precision_loss, reason = "bounds, far below 2^53")]
fn check(request: &SearchRequest) -> Result<(), ApiError> {
    range("learning_rate", request.learning_rate.as_ref(), (1e-7, 1.0), false)?;
    range("rank", request.rank.as_ref(), (1.0, 256.0), true)?;
    range("epochs", request.epochs.as_ref(), (1.0, 10_000.0), true)?;
    range("batch_tokens", request.batch_tokens.as_ref(), (16.0, 1e6), true)?;
    within("trials", request.trials.map(|trials| trials as f64), 1.0, MOST_TRIALS)?;
    within("budget_minutes", request.budget_minutes, 0.01, 1e5)?;
    within("budget_tokens", request.budget_tokens.map(|tokens| tokens as f64), 1.0, 1e15)?;
    within("rehearsal", request.rehearsal, 0.0, 0.9)?;
    within("kl_to_base", request.kl_to_base, 0.0, 100.0)?;
    let targets = request.targets.as_deref().unwrap_or_default();
    let repeated = (1..targets.len()).any(|place| targets[..place].contains(&targets[place]));
    let refusal = if request.budget_minutes.is_some() && request.budget_tokens.is_some() {
        "give `budget_minutes` or `budget_tokens`, not both"
    } else if repeated {
        "`targets` names one twice"
    } else {
        return Ok(());
    };
    Err(ApiError::new(Code::InvalidRequest, refusal))
}

fn range(
    name: &str,
    range: Option<&SearchRange>,
    (least, most): (f64, f64),
    whole: bool,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(Code::InvalidRequest, message));
    let values = match range {
        None => return Ok(()),
        Some(SearchRange::One(value)) => vec![*value],
        Some(SearchRange::Choices(list)) if list.is_empty() || list.len() > MOST_VALUES => {
            return refuse(format!(
                "`{name}` lists {} values: give 1 to {MOST_VALUES}",
                list.len()
            ));
        }
        Some(SearchRange::Choices(list)) => list.clone(),
        Some(SearchRange::Span { from, to }) if from >= to => {
            return refuse(format!("`{name}` goes from {from} to {to}: give the lesser one first"));
        }
        Some(SearchRange::Span { from, to }) => vec![*from, *to],
    };
    for (place, value) in values.iter().enumerate() {
        within(name, Some(*value), least, most)?;
        if whole && value.fract() != 0.0 {
            return refuse(format!("`{name}` is {value}: give whole numbers"));
        }
        if values[..place].contains(value) {
            return refuse(format!("`{name}` lists {value} twice"));
        }
    }
    Ok(())
}
