//! API keys.

use super::{Answer, Made, Shared};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::{Body, parse};
use crate::wire::key::{CreateKey, Key};
use crate::wire::page::Page;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pelton_context::Scope;
use pelton_metadata::{ApiKey, NewApiKey};

fn wire(key: ApiKey, secret: Option<String>) -> Key {
    let ApiKey { id, name, prefix, scopes, created_at, revoked_at, last_used_at } = key;
    Key {
        id: id.to_string(),
        name,
        prefix,
        scopes: scopes.iter().map(Scope::to_string).collect(),
        created_at: created_at.to_string(),
        revoked_at: revoked_at.map(|at| at.to_string()),
        last_used_at: last_used_at.map(|at| at.to_string()),
        secret,
    }
}

fn scope(name: &str) -> Result<Scope, ApiError> {
    [Scope::Inference, Scope::Read, Scope::Write, Scope::Admin]
        .into_iter()
        .find(|scope| scope.to_string() == name)
        .ok_or_else(|| {
            let known = "`inference`, `read`, `write` and `admin`";
            ApiError::new(Code::InvalidRequest, format!("`{name}` is no scope: there are {known}"))
        })
}

/// List the project's keys.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", responses((status = 200, body = Page<Key>)))]
pub async fn list_keys(State(api): Shared, Caller(caller): Caller) -> Answer<Page<Key>> {
    let keys = api.store.api_key_list(&caller).await?;
    let items = keys.into_iter().map(|key| wire(key, None)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Make a key; its secret is shown this once.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = CreateKey, responses((status = 201, body = Key)))]
pub async fn create_key(
    State(api): Shared,
    Caller(caller): Caller,
    Body(request): Body<CreateKey>,
) -> Made<Key> {
    let scopes = request.scopes.iter().map(|name| scope(name)).collect::<Result<Vec<_>, _>>()?;
    let random = api.random.bytes().map_err(|error| ApiError::internal(&error))?;
    let NewApiKey { key, secret } =
        api.store.api_key_create(&caller, &request.name, &scopes, random).await?;
    Ok((StatusCode::CREATED, Json(wire(key, Some(secret.expose().clone())))))
}

/// Stop a key from working, at once.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = String, Path)), responses((status = 200, body = Key)))]
pub async fn revoke_key(
    State(api): Shared,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer<Key> {
    let key = api.store.api_key_revoke(&caller, parse(&id)?).await?;
    Ok(Json(wire(key, None)))
}
