//! `GET /v1/models`: the base and its adapters.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::state::EngineState;

/// Lists what the `model` field can name.
pub(crate) async fn list_models(State(state): State<EngineState>) -> Json<Value> {
    let shared = &state.shared;
    let base = json!({
        "id": shared.served_name, "object": "model", "created": shared.started,
        "owned_by": "pelton", "root": shared.model_dir, "parent": null,
        "max_model_len": shared.scheduler.context_length(),
    });
    let adapters = shared.scheduler.adapters().into_iter().map(|adapter| {
        json!({
            "id": adapter.name, "object": "model", "created": shared.started,
            "owned_by": "pelton", "root": adapter.path, "parent": shared.served_name,
            "max_model_len": shared.scheduler.context_length(),
            "lora_rank": adapter.rank, "generation": adapter.generation,
        })
    });
    let data: Vec<Value> = [base].into_iter().chain(adapters).collect();
    Json(json!({"object": "list", "data": data}))
}
