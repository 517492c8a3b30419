//! `GET /v1/models`: endpoints first, then models that can be called directly.

use crate::OpenAi;
use crate::caller;
use crate::error::OpenAiError;
use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use pelton_context::Scope;
use pelton_gateway::{GatewayError, Snapshot};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

fn model(id: &str, created: i64) -> Model {
    Model { id: id.to_owned(), object: "model", created, owned_by: "pelton" }
}

fn models(snapshot: &Snapshot) -> Vec<Model> {
    let mut endpoints: Vec<Model> = snapshot
        .endpoints
        .values()
        .map(|endpoint| model(&endpoint.name, endpoint.created.0.div_euclid(1_000_000)))
        .collect();
    let mut direct: Vec<Model> = snapshot.models.keys().map(|name| model(name, 0)).collect();
    endpoints.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    direct.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    endpoints
        .extend(direct.into_iter().filter(|model| !snapshot.endpoints.contains_key(&model.id)));
    endpoints
}

async fn allowed(state: &OpenAi, parts: &Parts) -> Result<(), OpenAiError> {
    let context = caller::context(state, parts, caller::request_id(parts)).await?;
    match context.require(Scope::Inference) {
        Ok(()) => Ok(()),
        Err(forbidden) => {
            context.require(Scope::Read).map_err(|_| GatewayError::Forbidden(forbidden).into())
        }
    }
}

pub(crate) async fn list(
    State(state): State<OpenAi>,
    parts: Parts,
) -> Result<Json<ModelList>, OpenAiError> {
    allowed(&state, &parts).await?;
    Ok(Json(ModelList { object: "list", data: models(&state.gateway.snapshot()) }))
}

pub(crate) async fn show(
    State(state): State<OpenAi>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Model>, OpenAiError> {
    allowed(&state, &parts).await?;
    let models = models(&state.gateway.snapshot());
    let known = models.iter().map(|model| model.id.clone()).collect();
    let found = models.into_iter().find(|model| model.id == id);
    found.map(Json).ok_or_else(|| GatewayError::UnknownModel { model: id, known }.into())
}
