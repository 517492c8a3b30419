//! Durable work: asking for it, watching it, and taking in what its processes made.

use super::{Answer, Made, Shared, datasets, evaluations, listing, models};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::manifest;
use crate::state::Api;
use crate::wire::dataset::DatasetVersion;
use crate::wire::evaluation::Evaluation;
use crate::wire::job::{
    AfterQuery, BasePrecision, DatasetOutput, EvaluationOutput, FinetuneMethod, FinetuneRequest,
    Job, JobQuery, LogLine, Metric, ModelOutput, Progress,
};
use crate::wire::model::{Model, RegisterModel};
use crate::wire::page::Page;
use crate::wire::search::SearchRequest;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_context::{OpContext, Scope};
use pelton_ids::{Digest, JobId};
use pelton_metadata as store;
use serde_json::{Value, json};

#[expect(clippy::cast_precision_loss, reason = "counts of steps are far below 2^53")]
pub fn wire(job: store::Job) -> Job {
    let store::Job {
        id,
        kind,
        title,
        state,
        progress,
        spec,
        result,
        error,
        attempt,
        cancel_requested: _,
        created_at,
        started_at,
        ended_at,
    } = job;
    let progress = progress.unwrap_or_default();
    Job {
        id: id.to_string(),
        kind,
        title,
        state: state.to_string(),
        progress: Progress {
            done: progress.done as f64,
            total: progress.total.unwrap_or(0) as f64,
            unit: progress.unit,
            message: progress.message,
        },
        spec,
        result,
        error: error.map(|error| json!(error)),
        attempt,
        created_at: created_at.to_string(),
        started_at: started_at.map(|at| at.to_string()),
        ended_at: ended_at.map(|at| at.to_string()),
    }
}

/// Work to be asked for.
pub struct Work {
    pub kind: &'static str,
    pub title: String,
    pub spec: Value,
}

/// Queues work.
pub async fn enqueue(api: &Api, caller: &OpContext, work: Work) -> Made<Job> {
    let Work { kind, title, spec } = work;
    let made = api.store.job_create(caller, store::NewJob::of(kind, title, spec)).await?;
    Ok((StatusCode::ACCEPTED, Json(wire(made))))
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobQuery), responses((status = 200, body = Page<Job>)))]
pub async fn list_jobs(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<JobQuery>,
) -> Answer<Page<Job>> {
    let state = match query.state.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let known = "queued, running, succeeded, failed, cancelled";
            let message = format!("`{text}` is no state of a job: there are {known}");
            ApiError::new(Code::InvalidRequest, message)
        })?),
    };
    let filter = store::JobFilter { kind: query.kind, state };
    let limit = query.limit.unwrap_or(50).clamp(1, 1_000);
    let page = store::Page { limit, cursor: query.cursor };
    Ok(listing(api.store.job_list(&caller, &filter, &page).await?, wire))
}

/// Read one job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)), responses((status = 200, body = Job)))]
pub async fn get_job(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Job> {
    Ok(Json(wire(api.store.job_get(&caller, parse(&id)?).await?)))
}

/// Stop a job.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)), responses((status = 200, body = Job)))]
pub async fn cancel_job(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Job> {
    Ok(Json(wire(api.store.job_cancel(&caller, parse(&id)?).await?)))
}

/// Read what a job measured.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/metrics", tag = "jobs", params(("id" = String, Path), AfterQuery), responses((status = 200, body = Page<Metric>)))]
pub async fn list_metrics(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(query): Query<AfterQuery>,
) -> Answer<Page<Metric>> {
    let (after, limit) = (query.after.unwrap_or(0), query.limit.unwrap_or(1_000));
    let found = api.store.job_metrics(&caller, parse(&id)?, after, limit).await?;
    let items = found
        .into_iter()
        .map(|store::JobMetric { seq, at, step, values }| Metric {
            seq,
            at: at.to_string(),
            step,
            values: json!(values),
        })
        .collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Read a job's log.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path), AfterQuery), responses((status = 200, body = Page<LogLine>)))]
pub async fn list_logs(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(query): Query<AfterQuery>,
) -> Answer<Page<LogLine>> {
    let (after, limit) = (query.after.unwrap_or(0), query.limit.unwrap_or(1_000));
    let found = api.store.job_logs(&caller, parse(&id)?, after, limit).await?;
    let items = found
        .into_iter()
        .map(|store::JobLog { seq, at, level, message }| LogLine {
            seq,
            at: at.to_string(),
            level,
            message,
        })
        .collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Train an adapter or a model.
#[utoipa::path(post, path = "/api/v1/finetunes", tag = "jobs", request_body = FinetuneRequest, responses((status = 202, body = Job)))]
pub async fn create_finetune(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<FinetuneRequest>,
) -> Made<Job> {
    caller.require(Scope::Write)?;
    let Resolved { base: _, source, request } = resolve(&api, &caller, request).await?;
    let title = format!("Fine-tune {} on {}", request.name, source.describe());
    enqueue(&api, &caller, Work { kind: "finetune", title, spec: json!(request) }).await
}

/// A request whose names say which version they mean.
pub struct Resolved {
    /// The base.
    pub base: store::Model,
    /// What is learned from.
    pub source: LearnsFrom,
    /// The request.
    pub request: FinetuneRequest,
}

/// What is learned from.
pub enum LearnsFrom {
    /// A dataset version.
    Dataset(Box<store::DatasetVersion>),
    /// A file of preference pairs.
    Preferences(Digest),
}

impl LearnsFrom {
    fn describe(&self) -> &str {
        match self {
            Self::Dataset(version) => &version.name,
            Self::Preferences(_) => "preference pairs",
        }
    }
}

/// Checks a request, and gives names without a version one: what is trained on must not change while the job
/// waits.
pub async fn resolve(
    api: &Api,
    caller: &OpContext,
    mut request: FinetuneRequest,
) -> Result<Resolved, ApiError> {
    check(&request)?;
    let base = trainable_base(api, caller, &request.base).await?;
    let source = match (&request.dataset, &request.preferences) {
        (Some(dataset), None) => {
            let dataset = trainable_dataset(api, caller, dataset).await?;
            request.dataset = Some(dataset.name.clone());
            LearnsFrom::Dataset(Box::new(dataset))
        }
        (None, Some(digest)) => {
            let digest: Digest = parse(digest)?;
            manifest::size(api, digest).await?;
            // The job reads it by its digest, which only what is referred to may be.
            let owner = store::ArtifactOwner { kind: "preferences".into(), id: digest.hex() };
            api.store.artifact_ref_add(caller, &owner, &[digest]).await?;
            LearnsFrom::Preferences(digest)
        }
        _ => {
            let message = "give either `dataset` or `preferences`";
            return Err(ApiError::new(Code::InvalidRequest, message));
        }
    };
    if let Some(teacher) = &request.teacher {
        let teacher = api.store.model_get(caller, teacher).await?;
        if teacher.kind != store::ModelKind::Base {
            let message = format!("`{}` is an adapter: give a base as teacher", teacher.reference);
            return Err(ApiError::new(Code::Unprocessable, message));
        }
        request.teacher = Some(teacher.reference);
    }
    request.base.clone_from(&base.reference);
    Ok(Resolved { base, source, request })
}

/// A base that can be trained on, in the version that is the newest now unless one is named.
pub async fn trainable_base(
    api: &Api,
    caller: &OpContext,
    name: &str,
) -> Result<store::Model, ApiError> {
    let base = api.store.model_get(caller, name).await?;
    if base.kind != store::ModelKind::Base {
        let message = format!("`{}` is an adapter: train on its base", base.reference);
        return Err(ApiError::new(Code::Unprocessable, message));
    }
    Ok(base)
}

/// A dataset version with rows to train on.
pub async fn trainable_dataset(
    api: &Api,
    caller: &OpContext,
    name: &str,
) -> Result<store::DatasetVersion, ApiError> {
    let dataset = api.store.dataset_version_get(caller, name).await?;
    if dataset.rows.train == 0 {
        let message = format!("`{}` has no training rows", dataset.name);
        return Err(ApiError::new(Code::Unprocessable, message));
    }
    Ok(dataset)
}

/// Refuses a number outside of its bounds.
pub fn within(name: &str, value: Option<f64>, from: f64, to: f64) -> Result<(), ApiError> {
    match value {
        Some(value) if !(from..=to).contains(&value) => Err(ApiError::new(
            Code::InvalidRequest,
            format!("`{name}` is {value}: give {from} to {to}"),
        )),
        _ => Ok(()),
    }
}

fn check(request: &FinetuneRequest) -> Result<(), ApiError> {
    within("rank", request.rank.map(f64::from), 1.0, 256.0)?;
    within("alpha", request.alpha.map(f64::from), 1.0, 4_096.0)?;
    within("learning_rate", request.learning_rate, 1e-7, 1.0)?;
    within("epochs", request.epochs, 0.01, 10_000.0)?;
    within("batch_tokens", request.batch_tokens.map(f64::from), 16.0, 1e6)?;
    within("rehearsal", request.rehearsal, 0.0, 0.9)?;
    within("kl_to_base", request.kl_to_base, 0.0, 100.0)?;
    within("max_minutes", request.max_minutes, 0.01, 1e5)?;
    within("preference_beta", request.preference_beta, 1e-4, 100.0)?;
    within("distillation_weight", request.distillation_weight, 0.0, 1.0)?;
    within("distillation_temperature", request.distillation_temperature, 0.1, 100.0)?;
    let full = request.method == FinetuneMethod::Full;
    let pairs = request.preferences.is_some();
    let conflicts = [
        (
            full && request.base_precision != BasePrecision::F32,
            "method `full` changes the base, so that `base_precision` must be f32",
        ),
        (full && request.targets.is_some(), "`targets` are for adapters: method `full` trains all"),
        (full && request.merge, "`merge` is for adapters: method `full` makes a model anyway"),
        (pairs && request.teacher.is_some(), "a `teacher` needs a dataset, not `preferences`"),
        (
            pairs && (request.train_rows.is_some() || request.shuffle_labels),
            "`train_rows` and `shuffle_labels` are for datasets, not for `preferences`",
        ),
    ];
    match conflicts.into_iter().find(|(conflict, _)| *conflict) {
        Some((_, message)) => Err(ApiError::new(Code::InvalidRequest, message)),
        None => Ok(()),
    }
}

/// Checks that the caller is the process of this job, and answers the job.
async fn own_job(api: &Api, caller: &OpContext, id: &str) -> Result<store::Job, ApiError> {
    let id: JobId = parse(id)?;
    if caller.principal.name != format!("job:{id}") {
        let message = format!("only the process of `{id}` publishes its outputs");
        return Err(ApiError::new(Code::Forbidden, message));
    }
    Ok(api.store.job_get(caller, id).await?)
}

/// Take in the dataset version that a job built.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/outputs/dataset-version", tag = "jobs", params(("id" = String, Path)), request_body = DatasetOutput, responses((status = 201, body = DatasetVersion)))]
pub async fn publish_dataset_version(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Body(output): Body<DatasetOutput>,
) -> Made<DatasetVersion> {
    let job = own_job(&api, &caller, &id).await?;
    let DatasetOutput { dataset, files, dropped, scrubbed, statistics, card } = output;
    let rows = store::RowCounts {
        train: files.train.rows,
        validation: files.validation.rows,
        test: files.test.rows,
    };
    let mut listed = Vec::new();
    let mut blobs = Vec::new();
    for (split, file) in
        datasets::SPLITS.into_iter().zip([files.train, files.validation, files.test])
    {
        let digest = parse(&file.digest)?;
        listed.push((format!("{split}.jsonl"), digest, manifest::size(&api, digest).await?));
        blobs.push(digest);
    }
    let digest = manifest::put(&api, "dataset", listed, Value::Null).await?;
    let new = store::NewDatasetVersion {
        rows,
        dropped,
        scrubbed,
        statistics,
        source: job.spec["build"]["source"].clone(),
        digest,
        blobs,
        card,
        job_id: Some(job.id),
    };
    let made = api.store.dataset_version_create(&caller, &dataset, new).await?;
    Ok((StatusCode::CREATED, Json(datasets::wire_version(made))))
}

/// Take in the adapter or the model that a job trained.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/outputs/model", tag = "jobs", params(("id" = String, Path)), request_body = ModelOutput, responses((status = 201, body = Model)))]
pub async fn publish_model(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Body(output): Body<ModelOutput>,
) -> Made<Model> {
    let job = own_job(&api, &caller, &id).await?;
    let unprocessable =
        |error: serde_json::Error| ApiError::new(Code::Unprocessable, error.to_string());
    let (name, base, whole, mut lineage) = if job.kind == "finetune_search" {
        let spec: SearchRequest = serde_json::from_value(job.spec).map_err(unprocessable)?;
        let report = output.files.iter().find(|file| file.path == "search_report.json");
        let search = json!({
            "method": spec.method,
            "seed": spec.seed,
            "report": report.map(|file| &file.digest),
        });
        let lineage = json!({ "dataset": spec.dataset, "search": search });
        (spec.name, spec.base, false, lineage)
    } else {
        let spec: FinetuneRequest = serde_json::from_value(job.spec).map_err(unprocessable)?;
        let whole = spec.merge || spec.method == FinetuneMethod::Full;
        let lineage = json!({
            "dataset": spec.dataset,
            "preferences": spec.preferences,
            "teacher": spec.teacher,
        });
        (spec.name, spec.base, whole, lineage)
    };
    let base = api.store.model_get(&caller, &base).await?;
    lineage["job_id"] = json!(job.id);
    lineage["base"] = json!(base.reference);
    lineage["hyperparameters"] = output.hyperparameters;
    let request = RegisterModel {
        name,
        kind: if whole { "base" } else { "adapter" }.into(),
        base: (!whole).then_some(base.reference),
        files: output.files,
        license: Some(base.license),
        card: output.card,
        lineage: Some(lineage),
    };
    let made = models::register(&api, &caller, request, Some(job.id)).await?;
    Ok((StatusCode::CREATED, Json(models::wire(made))))
}

/// Take in the evaluation that a job made.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/outputs/evaluation", tag = "jobs", params(("id" = String, Path)), request_body = EvaluationOutput, responses((status = 201, body = Evaluation)))]
pub async fn publish_evaluation(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Body(output): Body<EvaluationOutput>,
) -> Made<Evaluation> {
    let job = own_job(&api, &caller, &id).await?;
    let samples = parse(&output.samples)?;
    manifest::size(&api, samples).await?;
    let new = store::NewEvaluation {
        name: job.spec["name"].as_str().unwrap_or("evaluation").to_owned(),
        target: job.spec["target"].clone(),
        suite: job.spec["suite"].clone(),
        summary: json!(output.summary),
        samples,
        job_id: Some(job.id),
    };
    let made = api.store.evaluation_create(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(evaluations::wire(made))))
}
