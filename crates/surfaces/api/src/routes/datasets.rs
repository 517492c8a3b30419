//! Datasets and their versions.

use super::jobs::{self, Work};
use super::{Answer, Made, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, Query};
use crate::manifest;
use crate::state::Api;
use crate::wire::dataset::{BuildRequest, Dataset, DatasetSource, DatasetVersion, RowsQuery};
use crate::wire::job::Job;
use crate::wire::page::{Page, PageQuery};
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use pelton_context::OpContext;
use pelton_ids::Digest;
use pelton_metadata as store;
use serde_json::{Value, json};

/// The files of a version, in the order in which rows are listed.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

pub fn wire_version(version: store::DatasetVersion) -> DatasetVersion {
    let store::DatasetVersion {
        id,
        dataset,
        version,
        name,
        rows,
        dropped,
        scrubbed,
        statistics,
        source,
        digest,
        card,
        job_id,
        created_at,
    } = version;
    DatasetVersion {
        id: id.to_string(),
        dataset,
        version,
        name,
        created_at: created_at.to_string(),
        rows: json!(rows),
        dropped,
        scrubbed,
        statistics,
        source,
        digest: digest.to_string(),
        card,
        job_id: job_id.map(|job| job.to_string()),
    }
}

fn wire(dataset: store::Dataset, all_versions: Option<Vec<store::DatasetVersion>>) -> Dataset {
    let store::Dataset { id, name, created_at, versions, latest } = dataset;
    Dataset {
        id: id.to_string(),
        name,
        created_at: created_at.to_string(),
        versions,
        latest: latest.map(wire_version),
        all_versions: all_versions.map(|versions| versions.into_iter().map(wire_version).collect()),
    }
}

/// List datasets, newest first.
#[utoipa::path(get, path = "/api/v1/datasets", tag = "datasets", params(PageQuery), responses((status = 200, body = Page<Dataset>)))]
pub async fn list_datasets(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Dataset>> {
    let found = api.store.dataset_list(&caller, &page_of(&query)).await?;
    Ok(listing(found, |dataset| wire(dataset, None)))
}

/// Read one dataset with all its versions.
#[utoipa::path(get, path = "/api/v1/datasets/{name}", tag = "datasets", params(("name" = String, Path)), responses((status = 200, body = Dataset)))]
pub async fn get_dataset(
    State(api): Shared,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Answer<Dataset> {
    let dataset = api.store.dataset_get(&caller, &name).await?;
    let versions = api.store.dataset_version_list(&caller, &name).await?;
    Ok(Json(wire(dataset, Some(versions))))
}

/// Build the next version of a dataset.
#[utoipa::path(post, path = "/api/v1/datasets/{name}/versions", tag = "datasets", params(("name" = String, Path)), request_body = BuildRequest, responses((status = 202, body = Job)))]
pub async fn build_version(
    State(api): Shared,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Body(request): Body<BuildRequest>,
) -> Made<Job> {
    check(&request)?;
    if let DatasetSource::Blob { digest } = &request.source {
        let digest: Digest = crate::extract::parse(digest)?;
        manifest::size(&api, digest).await?;
        // The version's origin: kept, and readable by the job that builds from it.
        let owner = store::ArtifactOwner { kind: "dataset_source".into(), id: digest.hex() };
        api.store.artifact_ref_add(&caller, &owner, &[digest]).await?;
    }
    let title = format!("Build dataset {name}");
    let spec = json!({ "dataset": name, "build": request });
    jobs::enqueue(&api, &caller, Work { kind: "dataset_build", title, spec }).await
}

fn check(request: &BuildRequest) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(Code::InvalidRequest, message));
    for kind in &request.scrub {
        if !["email", "phone", "card"].contains(&kind.as_str()) {
            return refuse(format!("`{kind}` cannot be scrubbed: give `email`, `phone` or `card`"));
        }
    }
    if let Some(similarity) = request.near_dedup
        && !(0.5..=1.0).contains(&similarity)
    {
        return refuse(format!("`near_dedup` is {similarity}: give a similarity from 0.5 to 1"));
    }
    if let Some(split) = &request.split {
        let shares = [split.train, split.validation, split.test];
        let sum: f64 = shares.iter().sum();
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6 {
            return refuse(format!("the split's shares are {shares:?}: they must sum to 1"));
        }
    }
    Ok(())
}

async fn version(
    api: &Api,
    caller: &OpContext,
    name: &str,
    number: &str,
) -> Result<store::DatasetVersion, ApiError> {
    Ok(api.store.dataset_version_get(caller, &format!("{name}@{number}")).await?)
}

/// Read one version.
#[utoipa::path(get, path = "/api/v1/datasets/{name}/versions/{version}", tag = "datasets", params(("name" = String, Path), ("version" = String, Path)), responses((status = 200, body = DatasetVersion)))]
pub async fn get_version(
    State(api): Shared,
    Caller(caller): Caller,
    Path((name, number)): Path<(String, String)>,
) -> Answer<DatasetVersion> {
    Ok(Json(wire_version(version(&api, &caller, &name, &number).await?)))
}

/// Which splits a query asks for.
fn splits(asked: Option<&str>) -> Result<Vec<&'static str>, ApiError> {
    match asked {
        None => Ok(SPLITS.to_vec()),
        Some(asked) => match SPLITS.iter().find(|&&split| split == asked) {
            Some(&split) => Ok(vec![split]),
            None => Err(ApiError::new(
                Code::InvalidRequest,
                format!("`{asked}` is no split: give `train`, `validation` or `test`"),
            )),
        },
    }
}

/// List a version's rows with where each comes from.
#[utoipa::path(get, path = "/api/v1/datasets/{name}/versions/{version}/rows", tag = "datasets", params(("name" = String, Path), ("version" = String, Path), RowsQuery), responses((status = 200, body = Page<Value>)))]
pub async fn list_rows(
    State(api): Shared,
    Caller(caller): Caller,
    Path((name, number)): Path<(String, String)>,
    Query(query): Query<RowsQuery>,
) -> Answer<Page<Value>> {
    let version = version(&api, &caller, &name, &number).await?;
    let limit = query.limit.unwrap_or(50).clamp(1, 1_000) as usize;
    let from: usize = match &query.cursor {
        Some(cursor) => crate::extract::parse(cursor)?,
        None => 0,
    };
    let mut items = Vec::new();
    let mut place = 0;
    let mut next_cursor = None;
    'all: for split in splits(query.split.as_deref())? {
        let file = manifest::file(&api, version.digest, &format!("{split}.jsonl")).await?;
        for line in manifest::read_text(&api, file).await?.lines() {
            if place >= from {
                if items.len() == limit {
                    next_cursor = Some(place.to_string());
                    break 'all;
                }
                let mut row: Value =
                    serde_json::from_str(line).map_err(|error| ApiError::internal(&error))?;
                row["index"] = json!(place);
                items.push(row);
            }
            place += 1;
        }
    }
    Ok(Json(Page { items, next_cursor }))
}

/// Download a version's rows as JSONL.
#[utoipa::path(get, path = "/api/v1/datasets/{name}/versions/{version}/download", tag = "datasets", params(("name" = String, Path), ("version" = String, Path), RowsQuery), responses((status = 200, content_type = "application/jsonl", body = String)))]
pub async fn download_rows(
    State(api): Shared,
    Caller(caller): Caller,
    Path((name, number)): Path<(String, String)>,
    Query(query): Query<RowsQuery>,
) -> Result<Response, ApiError> {
    let version = version(&api, &caller, &name, &number).await?;
    let mut files = Vec::new();
    for split in splits(query.split.as_deref())? {
        files.push(manifest::file(&api, version.digest, &format!("{split}.jsonl")).await?);
    }
    let mut response = Response::new(HttpBody::from_stream(manifest::concatenate(api, files)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}
