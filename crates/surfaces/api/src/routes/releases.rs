//! Releases and their lineage.

use super::{Answer, Made, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::error::ApiError;
use crate::extract::{Body, Query, parse};
use crate::lineage;
use crate::state::Api;
use crate::wire::page::{Page, PageQuery};
use crate::wire::release::{Bundle, CreateRelease, Lineage, Release, Sampling, Upstream};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_context::OpContext;
use pelton_metadata as store;

pub fn wire(release: store::Release) -> Release {
    let store::Release { id, name, digest, bundle, gate, created_by: _, created_at } = release;
    Release {
        id: id.to_string(),
        name,
        digest: digest.to_string(),
        bundle: wire_bundle(bundle),
        created_at: created_at.to_string(),
        gate: gate.map(|gate| gate.to_string()),
    }
}

fn wire_bundle(bundle: store::Bundle) -> Bundle {
    let store::Bundle { model, adapter, upstream, sampling, system_prompt } = bundle;
    let upstream = upstream.map(|store::Upstream { provider, model }| Upstream { provider, model });
    let sampling = sampling.map(|sampling| {
        let store::Sampling { temperature, top_p, top_k, max_tokens, seed, stop } = sampling;
        Sampling { temperature, top_p, top_k, max_tokens, seed, stop }
    });
    Bundle { model, adapter, upstream, sampling, system_prompt }
}

fn stored_bundle(bundle: Bundle) -> store::Bundle {
    let Bundle { model, adapter, upstream, sampling, system_prompt } = bundle;
    let upstream = upstream.map(|Upstream { provider, model }| store::Upstream { provider, model });
    let sampling = sampling.map(|sampling| {
        let Sampling { temperature, top_p, top_k, max_tokens, seed, stop } = sampling;
        store::Sampling { temperature, top_p, top_k, max_tokens, seed, stop }
    });
    store::Bundle { model, adapter, upstream, sampling, system_prompt }
}

/// The release with this id or this name.
pub async fn find(api: &Api, caller: &OpContext, text: &str) -> Result<store::Release, ApiError> {
    Ok(match text.parse() {
        Ok(id) => api.store.release_get(caller, id).await?,
        Err(_) => api.store.release_get_by_name(caller, text).await?,
    })
}

/// Make a release. It never changes.
#[utoipa::path(post, path = "/api/v1/releases", tag = "releases", request_body = CreateRelease, responses((status = 201, body = Release)))]
pub async fn create_release(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<CreateRelease>,
) -> Made<Release> {
    let CreateRelease { name, bundle, gate } = request;
    let gate = gate.as_deref().map(parse).transpose()?;
    let new = store::NewRelease { name, bundle: stored_bundle(bundle), gate };
    let made = api.store.release_create(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(wire(made))))
}

/// List releases, newest first.
#[utoipa::path(get, path = "/api/v1/releases", tag = "releases", params(PageQuery), responses((status = 200, body = Page<Release>)))]
pub async fn list_releases(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Release>> {
    Ok(listing(api.store.release_list(&caller, &page_of(&query)).await?, wire))
}

/// Read one release, by id or by name.
#[utoipa::path(get, path = "/api/v1/releases/{id}", tag = "releases", params(("id" = String, Path)), responses((status = 200, body = Release)))]
pub async fn get_release(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Release> {
    Ok(Json(wire(find(&api, &caller, &id).await?)))
}

/// Tell what a release comes from: adapter, base, rows, hyperparameters, evaluations, gate.
#[utoipa::path(get, path = "/api/v1/releases/{id}/lineage", tag = "releases", params(("id" = String, Path)), responses((status = 200, body = Lineage)))]
pub async fn get_lineage(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Lineage> {
    let release = find(&api, &caller, &id).await?;
    Ok(Json(lineage::of(&api, &caller, release).await?))
}
