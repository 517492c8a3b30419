//! Endpoints: the names that applications call.

use super::releases::find;
use super::{Answer, Shared};
use crate::authenticate::Caller;
use crate::error::ApiError;
use crate::extract::Body;
use crate::state::Api;
use crate::wire::endpoint::{Endpoint, SetTraffic, TrafficChange, TrafficShare};
use crate::wire::page::Page;
use axum::Json;
use axum::extract::{Path, State};
use pelton_context::OpContext;
use pelton_metadata as store;
use std::collections::BTreeMap;

/// Changes of traffic that an endpoint shows.
const HISTORY: u32 = 20;

/// Names of releases, found once each.
#[derive(Default)]
struct Names(BTreeMap<pelton_ids::ReleaseId, String>);

impl Names {
    async fn shares(
        &mut self,
        api: &Api,
        caller: &OpContext,
        traffic: &[store::TrafficShare],
    ) -> Result<Vec<TrafficShare>, ApiError> {
        let mut shares = Vec::new();
        for &store::TrafficShare { release_id, weight } in traffic {
            let release_name = match self.0.get(&release_id) {
                Some(name) => name.clone(),
                None => {
                    let name = api.store.release_get(caller, release_id).await?.name;
                    self.0.insert(release_id, name.clone());
                    name
                }
            };
            shares.push(TrafficShare { release_id: release_id.to_string(), release_name, weight });
        }
        Ok(shares)
    }
}

/// The rollout that goes on at this endpoint.
async fn running(
    api: &Api,
    caller: &OpContext,
    endpoint: &str,
) -> Result<Option<store::Rollout>, ApiError> {
    let running = api.store.rollout_list_running(caller).await?;
    Ok(running.into_iter().find(|rollout| rollout.endpoint == endpoint))
}

async fn wire(
    api: &Api,
    caller: &OpContext,
    endpoint: store::Endpoint,
) -> Result<Endpoint, ApiError> {
    let store::Endpoint { id, name, generation, traffic, created_at, updated_at } = endpoint;
    let mut names = Names::default();
    let traffic = names.shares(api, caller, &traffic).await?;
    let mut history = Vec::new();
    for change in api.store.endpoint_history(caller, &name, HISTORY).await? {
        let store::TrafficGeneration { generation, at, by, reason, traffic, .. } = change;
        let traffic = names.shares(api, caller, &traffic).await?;
        history.push(TrafficChange { generation, at: at.to_string(), by, reason, traffic });
    }
    let rollout = match running(api, caller, &name).await? {
        Some(rollout) => Some(super::rollouts::wire(api, caller, rollout).await?),
        None => None,
    };
    Ok(Endpoint {
        id: id.to_string(),
        name,
        generation,
        traffic,
        rollout,
        created_at: created_at.to_string(),
        updated_at: updated_at.to_string(),
        history,
    })
}

/// List endpoints by name.
#[utoipa::path(get, path = "/api/v1/endpoints", tag = "endpoints", responses((status = 200, body = Page<Endpoint>)))]
pub async fn list_endpoints(State(api): Shared, Caller(caller): Caller) -> Answer<Page<Endpoint>> {
    let mut items = Vec::new();
    for endpoint in api.store.endpoint_list(&caller).await? {
        items.push(wire(&api, &caller, endpoint).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// Read one endpoint with its traffic, its rollout and its history.
#[utoipa::path(get, path = "/api/v1/endpoints/{name}", tag = "endpoints", params(("name" = String, Path)), responses((status = 200, body = Endpoint)))]
pub async fn get_endpoint(
    State(api): Shared,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Answer<Endpoint> {
    let endpoint = api.store.endpoint_get(&caller, &name).await?;
    Ok(Json(wire(&api, &caller, endpoint).await?))
}

/// Set which releases answer; makes the endpoint if there is none.
#[utoipa::path(put, path = "/api/v1/endpoints/{name}", tag = "endpoints", params(("name" = String, Path)), request_body = SetTraffic, responses((status = 200, body = Endpoint)))]
pub async fn set_traffic(
    State(api): Shared,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Body(request): Body<SetTraffic>,
) -> Answer<Endpoint> {
    let mut traffic = Vec::new();
    for share in &request.traffic {
        let release_id = find(&api, &caller, &share.release_id).await?.id;
        traffic.push(store::TrafficShare { release_id, weight: share.weight });
    }
    let reason = request.reason.unwrap_or_else(|| "set by hand".into());
    let change = store::EndpointChange { traffic, expected: None, reason };
    let endpoint = api.store.endpoint_put(&caller, &name, change).await?;
    Ok(Json(wire(&api, &caller, endpoint).await?))
}

/// Go back to what answered before the last change, at once; ends a running rollout.
#[utoipa::path(post, path = "/api/v1/endpoints/{name}/rollback", tag = "endpoints", params(("name" = String, Path)), responses((status = 200, body = Endpoint)))]
pub async fn roll_back_endpoint(
    State(api): Shared,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Answer<Endpoint> {
    let endpoint = api.store.endpoint_rollback(&caller, &name, "rolled back by hand").await?;
    Ok(Json(wire(&api, &caller, endpoint).await?))
}
