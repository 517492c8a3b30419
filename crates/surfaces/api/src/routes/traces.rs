//! Calls as served, and what people said of them.

use super::{Answer, Made, Shared};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::state::Api;
use crate::trace_filter::{bounds, expression};
use crate::wire::page::{Page, PageQuery};
use crate::wire::trace::{
    AggregateRequest, AggregateRow, Aggregates, Feedback, FeedbackRequest, FeedbackSummary, Trace,
    TraceFilter, TraceSummary,
};
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use pelton_context::{OpContext, Scope};
use pelton_ids::{FeedbackId, InferenceId};
use pelton_trace_query::{ListedTrace, TraceQueryError};
use pelton_trace_store::{self as store, TraceDetail, WriteError};
use serde_json::Value;
use std::time::Duration;

impl From<TraceQueryError> for ApiError {
    fn from(error: TraceQueryError) -> Self {
        let code = match &error {
            TraceQueryError::Query(_) => Code::InvalidRequest,
            TraceQueryError::TooLarge => Code::TooLarge,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            WriteError::DiskFull => Code::StorageFull,
            WriteError::TooLarge { .. } => Code::TooLarge,
            WriteError::Closed => Code::Unavailable,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

/// Groups that one aggregate query answers at most.
const MOST_GROUPS: usize = 10_000;

#[expect(clippy::cast_precision_loss, reason = "a latency fits an f64")]
fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

fn summary(listed: store::TraceSummary, feedback: FeedbackSummary) -> TraceSummary {
    TraceSummary {
        id: listed.id.to_string(),
        trace_id: listed.trace_id.map(|id| id.to_string()),
        started_at: listed.started_at.to_string(),
        endpoint: listed.release_id.map(|_| listed.endpoint),
        release_id: listed.release_id.map(|id| id.to_string()),
        release_name: listed.release_name,
        model: listed.model,
        status: listed.status.to_string(),
        error_code: listed.error_code,
        streamed: listed.streamed,
        prompt_tokens: listed.prompt_tokens,
        completion_tokens: listed.completion_tokens,
        cost_nanousd: listed.cost_nanousd,
        latency_ms: milliseconds(listed.latency_us),
        ttft_ms: listed.ttft_us.map(milliseconds),
        preview_input: listed.preview_input,
        preview_output: listed.preview_output,
        feedback,
        tags: listed.tags,
    }
}

fn listed(trace: ListedTrace) -> TraceSummary {
    let ListedTrace { summary: found, feedback } = trace;
    summary(found, in_short(feedback))
}

fn in_short(feedback: store::FeedbackSummary) -> FeedbackSummary {
    let store::FeedbackSummary { count, score, has_correction } = feedback;
    FeedbackSummary { count, score, has_correction }
}

pub fn wire_feedback(record: store::FeedbackRecord) -> Feedback {
    let store::FeedbackRecord {
        id,
        inference_id,
        project: _,
        at,
        release_id: _,
        score,
        label,
        correction,
        comment,
        source,
        by,
    } = record;
    Feedback {
        id: id.to_string(),
        inference_id: inference_id.to_string(),
        at: at.to_string(),
        score,
        label,
        correction,
        comment,
        source,
        by,
    }
}

fn whole(detail: TraceDetail) -> Trace {
    let TraceDetail { summary: found, payload, feedback } = detail;
    let (request, response, route, output) = match payload {
        None => (Value::Null, None, Value::Null, String::new()),
        Some(payload) => (
            readable(&payload.request),
            payload.response.as_deref().map(readable),
            serde_json::from_str(&payload.route).unwrap_or(Value::String(payload.route)),
            payload.output,
        ),
    };
    let messages = request["messages"].as_array().cloned().unwrap_or_default();
    Trace {
        config_hash: found.config_hash.clone(),
        summary: summary(found, in_short(store::FeedbackSummary::of(&feedback))),
        request,
        response,
        messages,
        output,
        route,
        feedback_items: feedback.into_iter().map(wire_feedback).collect(),
    }
}

/// JSON as JSON, and anything else as text.
fn readable(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// The query for calls that match `filter`.
fn query_of(
    caller: &OpContext,
    filter: &TraceFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<store::TraceQuery, ApiError> {
    caller.require(Scope::Read)?;
    let (since, until) = bounds(filter)?;
    Ok(store::TraceQuery {
        project: caller.project,
        since,
        until,
        filter: expression(filter)?,
        order: store::Order::Newest,
        limit,
        cursor: cursor.map(parse).transpose()?,
    })
}

/// List calls, newest first.
#[utoipa::path(get, path = "/api/v1/traces", tag = "traces", params(TraceFilter, PageQuery), responses((status = 200, body = Page<TraceSummary>)))]
pub async fn list_traces(
    State(api): Shared,
    Caller(caller): Caller,
    Query(filter): Query<TraceFilter>,
    Query(page): Query<PageQuery>,
) -> Answer<Page<TraceSummary>> {
    let query = query_of(&caller, &filter, page.limit() as usize, page.cursor.as_deref())?;
    let found = api.traces.list(&query).await?;
    Ok(Json(Page {
        items: found.items.into_iter().map(listed).collect(),
        next_cursor: found.next.map(|cursor| cursor.to_string()),
    }))
}

/// Read one call with its request, its response and its feedback.
#[utoipa::path(get, path = "/api/v1/traces/{id}", tag = "traces", params(("id" = String, Path)), responses((status = 200, body = Trace)))]
pub async fn get_trace(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Trace> {
    caller.require(Scope::Read)?;
    let id: InferenceId = parse(&id)?;
    match api.traces.get(caller.project, id).await? {
        Some(detail) => Ok(Json(whole(detail))),
        None => Err(unknown(id)),
    }
}

fn unknown(id: InferenceId) -> ApiError {
    ApiError::new(Code::NotFound, format!("no call `{id}` here"))
        .hint("Its id stands in the response header `x-pelton-inference-id`.")
}

/// Sum up calls by group.
#[utoipa::path(post, path = "/api/v1/traces/aggregate", tag = "traces", request_body = AggregateRequest, responses((status = 200, body = Aggregates)))]
pub async fn aggregate_traces(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<AggregateRequest>,
) -> Answer<Aggregates> {
    caller.require(Scope::Read)?;
    let (since, until) = bounds(&request.filter)?;
    let group_by: Vec<store::GroupKey> =
        request.group_by.iter().map(|name| group_key(name)).collect::<Result<_, _>>()?;
    let aggregates =
        request.aggregates.iter().map(|name| aggregate(name)).collect::<Result<_, _>>()?;
    let query = store::AggregateQuery {
        project: caller.project,
        since,
        until,
        filter: expression(&request.filter)?,
        group_by,
        aggregates,
        limit: MOST_GROUPS,
    };
    let rows = api.traces.aggregate(&query).await?;
    let rows = rows
        .into_iter()
        .map(|row| AggregateRow {
            group: request
                .group_by
                .iter()
                .zip(row.group)
                .map(|(name, key)| (name.clone(), group_value(name, key)))
                .collect(),
            values: request
                .aggregates
                .iter()
                .zip(row.values)
                .map(|(name, value)| (name.clone(), in_wire_unit(name, value)))
                .collect(),
        })
        .collect();
    Ok(Json(Aggregates { rows }))
}

fn group_key(name: &str) -> Result<store::GroupKey, ApiError> {
    Ok(match name {
        "endpoint" => store::GroupKey::Field(store::Field::Endpoint),
        "release" => store::GroupKey::Field(store::Field::ReleaseName),
        "model" => store::GroupKey::Field(store::Field::Model),
        "status" => store::GroupKey::Field(store::Field::Status),
        "minute" => store::GroupKey::Time(store::TimeUnit::Minute),
        "hour" => store::GroupKey::Time(store::TimeUnit::Hour),
        "day" => store::GroupKey::Time(store::TimeUnit::Day),
        _ => {
            let known = "endpoint, release, model, status, minute, hour, day";
            let message = format!("`{name}` is no group: there are {known}");
            return Err(ApiError::new(Code::InvalidRequest, message));
        }
    })
}

fn aggregate(name: &str) -> Result<store::Aggregate, ApiError> {
    use store::{Aggregate, Field};
    Ok(match name {
        "count" => Aggregate::Count,
        "errors" => Aggregate::Errors,
        "prompt_tokens" => Aggregate::Sum(Field::PromptTokens),
        "completion_tokens" => Aggregate::Sum(Field::CompletionTokens),
        "cost_nanousd" => Aggregate::Sum(Field::CostNanousd),
        "latency_p50" => Aggregate::Quantile { field: Field::LatencyUs, q: 0.5 },
        "latency_p95" => Aggregate::Quantile { field: Field::LatencyUs, q: 0.95 },
        "ttft_p50" => Aggregate::Quantile { field: Field::TtftUs, q: 0.5 },
        "score_mean" => Aggregate::Mean(Field::Score),
        _ => {
            let known = "count, errors, prompt_tokens, completion_tokens, cost_nanousd, \
                         latency_p50, latency_p95, ttft_p50, score_mean";
            let message = format!("`{name}` is no aggregate: there are {known}");
            return Err(ApiError::new(Code::InvalidRequest, message));
        }
    })
}

/// A group's key as JSON; a stretch of time by its first instant.
fn group_value(name: &str, key: store::Value) -> Value {
    match key {
        store::Value::Int(micros) if ["minute", "hour", "day"].contains(&name) => {
            Value::String(pelton_ids::Micros(micros).to_string())
        }
        store::Value::Null => Value::Null,
        store::Value::Bool(value) => value.into(),
        store::Value::Int(value) => value.into(),
        store::Value::Float(value) => value.into(),
        store::Value::Text(value) => value.into(),
    }
}

/// Times are stored in microseconds and told in milliseconds.
fn in_wire_unit(name: &str, value: Option<f64>) -> Option<f64> {
    let is_time = name.starts_with("latency") || name.starts_with("ttft");
    value.map(|value| if is_time { value / 1_000.0 } else { value })
}

/// Say something of a call: a score, a label, a correction, a comment.
#[utoipa::path(post, path = "/api/v1/feedback", tag = "traces", request_body = FeedbackRequest, responses((status = 201, body = Feedback)))]
pub async fn give_feedback(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<FeedbackRequest>,
) -> Made<Feedback> {
    if caller.require(Scope::Inference).is_err() {
        caller.require(Scope::Write)?;
    }
    let FeedbackRequest { inference_id, score, label, correction, comment, source } = request;
    let invalid = |message: &str| Err(ApiError::new(Code::InvalidRequest, message));
    if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
        return invalid("`score` lies from 0 to 1");
    }
    if score.is_none() && label.is_none() && correction.is_none() && comment.is_none() {
        return invalid("give at least one of `score`, `label`, `correction` and `comment`");
    }
    let source = source.unwrap_or_else(|| "application".into());
    if !["human", "application", "judge"].contains(&source.as_str()) {
        return invalid("`source` is `human`, `application` or `judge`");
    }
    let inference_id: InferenceId = parse(&inference_id)?;
    let release_id = of_release(&api, &caller, inference_id).await?;
    let record = store::FeedbackRecord {
        id: FeedbackId::generate(),
        inference_id,
        project: caller.project,
        at: api.store.now(),
        release_id,
        score,
        label,
        correction,
        comment,
        source,
        by: caller.principal.name.clone(),
    };
    api.trace_writer.feedback_durable(record.clone()).await?;
    Ok((StatusCode::CREATED, Json(wire_feedback(record))))
}

/// Microseconds that the record of a call that has just ended may be on its way to the store.
const ON_ITS_WAY: i64 = 5_000_000;
/// Between two looks for it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The release that answered a call. An application may speak of a call before its record has
/// reached the store; a call's id says when it began, so that only young ones are waited for.
async fn of_release(
    api: &Api,
    caller: &OpContext,
    id: InferenceId,
) -> Result<Option<pelton_ids::ReleaseId>, ApiError> {
    let begun = api.store.now();
    loop {
        if let Some(found) = api.traces.get(caller.project, id).await? {
            return Ok(found.summary.release_id);
        }
        let young = begun.0.saturating_sub(id.made_at().0) < 600_000_000;
        if !young || api.store.now().0.saturating_sub(begun.0) > ON_ITS_WAY {
            return Err(unknown(id));
        }
        api.trace_writer.flush().await?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How many calls an export holds at most.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Calls at most; 100,000 when left out.
    limit: Option<usize>,
}

/// Download calls as JSONL, newest first, each with its request, response and feedback.
#[utoipa::path(get, path = "/api/v1/traces/export", tag = "traces", params(TraceFilter, ExportQuery), responses((status = 200, content_type = "application/jsonl", body = String)))]
pub async fn export_traces(
    State(api): Shared,
    Caller(caller): Caller,
    Query(filter): Query<TraceFilter>,
    Query(export): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    api.trace_writer.flush().await?;
    let query = query_of(&caller, &filter, export.limit.unwrap_or(100_000), None)?;
    let lines = api.traces.scan(query).map(|detail| {
        let mut line = serde_json::to_vec(&whole(detail.map_err(std::io::Error::other)?))?;
        line.push(b'\n');
        Ok::<Bytes, std::io::Error>(line.into())
    });
    let mut response = Response::new(HttpBody::from_stream(lines));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}
