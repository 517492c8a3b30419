//! About the server, and the state of the wheel at a glance.

use super::{Answer, Shared, datasets, evaluations, jobs, rollouts};
use crate::authenticate::Caller;
use crate::error::ApiError;
use crate::state::Api;
use crate::wire::overview::{
    Curate, Evaluate, MinuteOfCalls, Observe, Overview, ProjectName, ReleaseStage, Serve, Server,
    Tune,
};
use axum::Json;
use axum::extract::State;
use pelton_context::{OpContext, Scope};
use pelton_ids::Micros;
use pelton_metadata::{JobFilter, JobState, Page};
use pelton_trace_store::{Aggregate, AggregateQuery, Expr, Field, GroupKey, TimeUnit, Value};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1_440 * MINUTE;

/// Tell the version, and whether a key is needed.
#[utoipa::path(get, path = "/api/v1/server", tag = "server", responses((status = 200, body = Server)))]
pub async fn get_server(State(api): Shared, Caller(caller): Caller) -> Answer<Server> {
    let project = api.store.project_get(&caller).await?;
    Ok(Json(Server {
        version: api.version.into(),
        auth_required: api.authenticator.key_required(),
        project: ProjectName { id: project.id.to_string(), name: project.name },
        started_at: api.started_at.to_string(),
    }))
}

/// Tell the state of the wheel at a glance.
#[utoipa::path(get, path = "/api/v1/overview", tag = "server", responses((status = 200, body = Overview)))]
pub async fn get_overview(State(api): Shared, Caller(caller): Caller) -> Answer<Overview> {
    caller.require(Scope::Read)?;
    let running = api.store.rollout_list_running(&caller).await?;
    let mut active_rollouts = Vec::new();
    for rollout in running {
        active_rollouts.push(rollouts::wire(&api, &caller, rollout).await?);
    }
    let everything = Page::first(pelton_metadata::MAX_PAGE);
    let releases = api.store.release_list(&caller, &everything).await?.items;
    Ok(Json(Overview {
        serve: serve(&api, &caller).await?,
        observe: observe(&api, &caller).await?,
        curate: curate(&api, &caller).await?,
        tune: tune(&api, &caller).await?,
        evaluate: evaluate(&api, &caller).await?,
        release: ReleaseStage {
            endpoints: count(api.store.endpoint_list(&caller).await?.len()),
            releases: count(releases.len()),
            active_rollouts,
        },
        engine: api.engine.engine(),
        requests_series: series(&api, &caller).await?,
    }))
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "counts are whole and far below 2^53")]
fn whole(value: Option<f64>) -> i64 {
    value.unwrap_or(0.0) as i64
}

/// One row of sums over all calls since an instant.
async fn sums(
    api: &Api,
    caller: &OpContext,
    since: Option<Micros>,
    filter: Option<Expr>,
    aggregates: Vec<Aggregate>,
) -> Result<Vec<Option<f64>>, ApiError> {
    let query = AggregateQuery {
        project: caller.project,
        since,
        until: None,
        filter,
        group_by: vec![],
        aggregates,
        limit: 1,
    };
    let rows = api.traces.aggregate(&query).await?;
    Ok(rows.into_iter().next().map(|row| row.values).unwrap_or_default())
}

async fn serve(api: &Api, caller: &OpContext) -> Result<Serve, ApiError> {
    let since = Some(api.store.now().plus(-DAY));
    let latency = |q| Aggregate::Quantile { field: Field::LatencyUs, q };
    let asked = vec![
        Aggregate::Count,
        Aggregate::Errors,
        latency(0.5),
        latency(0.95),
        Aggregate::Sum(Field::PromptTokens),
        Aggregate::Sum(Field::CompletionTokens),
    ];
    let found = sums(api, caller, since, None, asked).await?;
    let at = |place: usize| found.get(place).copied().flatten();
    Ok(Serve {
        requests_24h: whole(at(0)),
        errors_24h: whole(at(1)),
        latency_p50_ms: at(2).map(|micros| micros / 1_000.0),
        latency_p95_ms: at(3).map(|micros| micros / 1_000.0),
        tokens_24h: whole(at(4)) + whole(at(5)),
    })
}

async fn observe(api: &Api, caller: &OpContext) -> Result<Observe, ApiError> {
    let all = sums(api, caller, None, None, vec![Aggregate::Count]).await?;
    let spoken =
        sums(api, caller, None, Some(Expr::has_feedback(true)), vec![Aggregate::Count]).await?;
    let corrected =
        sums(api, caller, None, Some(Expr::has_correction(true)), vec![Aggregate::Count]).await?;
    let first = |found: Vec<Option<f64>>| whole(found.first().copied().flatten());
    Ok(Observe { traces: first(all), feedback: first(spoken), corrections: first(corrected) })
}

async fn curate(api: &Api, caller: &OpContext) -> Result<Curate, ApiError> {
    let mut found = Curate::default();
    let all = Page::first(pelton_metadata::MAX_PAGE);
    for dataset in api.store.dataset_list(caller, &all).await?.items {
        found.datasets += 1;
        found.versions += dataset.versions;
        if let Some(latest) = dataset.latest.map(datasets::wire_version) {
            let rows = latest.rows.as_object().into_iter().flatten();
            found.rows += rows.filter_map(|(_, rows)| rows.as_i64()).sum::<i64>();
        }
    }
    Ok(found)
}

async fn tune(api: &Api, caller: &OpContext) -> Result<Tune, ApiError> {
    let of_kind = |state| JobFilter { kind: Some("finetune".into()), state };
    let all = Page::first(pelton_metadata::MAX_PAGE);
    let jobs = api.store.job_list(caller, &of_kind(None), &all).await?.items;
    let in_state =
        |wanted: &[JobState]| count(jobs.iter().filter(|job| wanted.contains(&job.state)).count());
    Ok(Tune {
        running: in_state(&[JobState::Queued, JobState::Running]),
        succeeded: in_state(&[JobState::Succeeded]),
        latest: jobs.into_iter().next().map(jobs::wire),
    })
}

async fn evaluate(api: &Api, caller: &OpContext) -> Result<Evaluate, ApiError> {
    let all = Page::first(pelton_metadata::MAX_PAGE);
    let found = api.store.evaluation_list(caller, &all).await?.items;
    Ok(Evaluate {
        evaluations: count(found.len()),
        latest: found.into_iter().next().map(evaluations::wire),
    })
}

/// Calls in each of the last 60 minutes, empty ones too.
async fn series(api: &Api, caller: &OpContext) -> Result<Vec<MinuteOfCalls>, ApiError> {
    let this_minute = api.store.now().0.div_euclid(MINUTE) * MINUTE;
    let first = this_minute - 59 * MINUTE;
    let query = AggregateQuery {
        project: caller.project,
        since: Some(Micros(first)),
        until: None,
        filter: None,
        group_by: vec![GroupKey::Time(TimeUnit::Minute)],
        aggregates: vec![Aggregate::Count, Aggregate::Errors],
        limit: 100,
    };
    let mut minutes: Vec<MinuteOfCalls> = (0..60)
        .map(|minute| MinuteOfCalls {
            at: Micros(first + minute * MINUTE).to_string(),
            count: 0,
            errors: 0,
        })
        .collect();
    for row in api.traces.aggregate(&query).await? {
        let Some(&Value::Int(at)) = row.group.first() else { continue };
        let place = usize::try_from((at - first) / MINUTE).unwrap_or(usize::MAX);
        if let Some(minute) = minutes.get_mut(place) {
            minute.count = whole(row.values.first().copied().flatten());
            minute.errors = whole(row.values.get(1).copied().flatten());
        }
    }
    Ok(minutes)
}
