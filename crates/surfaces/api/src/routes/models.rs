//! Models: bases and adapters.

use super::{Answer, Made, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query, parse};
use crate::manifest;
use crate::state::Api;
use crate::wire::model::{Model, ModelFile, RegisterModel};
use crate::wire::page::{Page, PageQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_context::{OpContext, Scope};
use pelton_ids::JobId;
use pelton_metadata as store;
use serde_json::Value;

pub fn wire(model: store::Model) -> Model {
    let store::Model {
        id,
        name,
        version,
        reference,
        kind,
        base,
        digest,
        size_bytes,
        license,
        card,
        lineage,
        files,
        job_id: _,
        created_at,
    } = model;
    Model {
        id: id.to_string(),
        name,
        version,
        reference,
        kind: kind.to_string(),
        base,
        digest: digest.to_string(),
        size_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX),
        created_at: created_at.to_string(),
        license: (!license.is_empty()).then_some(license),
        card,
        lineage,
        files: files
            .into_iter()
            .map(|store::ModelFile { path, digest, size }| ModelFile {
                path,
                digest: digest.to_string(),
                size,
            })
            .collect(),
    }
}

/// List models, newest first.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", params(PageQuery), responses((status = 200, body = Page<Model>)))]
pub async fn list_models(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Model>> {
    Ok(listing(api.store.model_list(&caller, None, &page_of(&query)).await?, wire))
}

/// Read one model: `name@version`, or `name` for the newest.
#[utoipa::path(get, path = "/api/v1/models/{reference}", tag = "models", params(("reference" = String, Path)), responses((status = 200, body = Model)))]
pub async fn get_model(
    State(api): Shared,
    Caller(caller): Caller,
    Path(reference): Path<String>,
) -> Answer<Model> {
    Ok(Json(wire(api.store.model_get(&caller, &reference).await?)))
}

/// Register a model from uploaded blobs.
#[utoipa::path(post, path = "/api/v1/models", tag = "models", request_body = RegisterModel, responses((status = 201, body = Model)))]
pub async fn register_model(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<RegisterModel>,
) -> Made<Model> {
    caller.require(Scope::Write)?;
    let made = register(&api, &caller, request, None).await?;
    Ok((StatusCode::CREATED, Json(wire(made))))
}

/// Stores the manifest of a model and the model itself; a job's model once, however often asked.
pub async fn register(
    api: &Api,
    caller: &OpContext,
    request: RegisterModel,
    job: Option<JobId>,
) -> Result<store::Model, ApiError> {
    let RegisterModel { name, kind, base, files, license, card, lineage } = request;
    let kind: store::ModelKind = kind
        .parse()
        .map_err(|_| ApiError::new(Code::InvalidRequest, "`kind` is `base` or `adapter`"))?;
    let mut stored = Vec::new();
    for ModelFile { path, digest, size: _ } in files {
        let digest = parse(&digest)?;
        let size = manifest::size(api, digest).await?;
        stored.push(store::ModelFile { path, digest, size });
    }
    let weights = [".safetensors", ".gguf"];
    if !stored.iter().any(|file| weights.iter().any(|ending| file.path.ends_with(ending))) {
        return Err(ApiError::new(
            Code::Unprocessable,
            "a model needs its weights in a `.safetensors` or `.gguf` file",
        ));
    }
    let files = stored.iter().map(|file| (file.path.clone(), file.digest, file.size)).collect();
    let digest = manifest::put(api, "model", files, lineage.clone().unwrap_or(Value::Null)).await?;
    let new = store::NewModel {
        name,
        kind,
        base,
        digest,
        license: license.unwrap_or_default(),
        card,
        lineage,
        files: stored,
        job_id: job,
    };
    Ok(api.store.model_create(caller, new).await?)
}
