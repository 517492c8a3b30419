//! Loading and unloading adapters while the engine runs, with vLLM's routes and answers.

use std::path::PathBuf;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;

use crate::chat_body::read_json;
use crate::error::ApiError;
use crate::state::EngineState;

#[derive(Debug, Deserialize)]
struct LoadBody {
    lora_name: String,
    lora_path: PathBuf,
    /// Replaces an adapter of this name; running requests keep the old one.
    #[serde(default)]
    load_inplace: bool,
}

#[derive(Debug, Deserialize)]
struct UnloadBody {
    lora_name: String,
}

/// `POST /v1/load_lora_adapter`.
pub(crate) async fn load_adapter(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<String, ApiError> {
    let LoadBody { lora_name, lora_path, load_inplace } = read_json(body)?;
    if lora_name.is_empty() || lora_name == state.shared.served_name {
        let message = format!("`{lora_name}` cannot be an adapter's name: it names the base model");
        return Err(ApiError::bad_request("invalid_value", Some("lora_name"), message));
    }
    let name = lora_name.clone();
    let loading = tokio::task::spawn_blocking(move || {
        if !state.may_load_from(&lora_path) {
            let message = format!(
                "{} is not a folder inside the adapter root; copy the adapter there",
                lora_path.display()
            );
            return Err(ApiError::bad_request("invalid_value", Some("lora_path"), message));
        }
        Ok(state.shared.scheduler.load_adapter(&name, &lora_path, load_inplace)?)
    });
    let info = loading.await.map_err(|_| ApiError::stopped())??;
    tracing::info!(adapter = info.name, generation = info.generation, "adapter loaded");
    Ok(format!("Success: LoRA adapter '{lora_name}' added successfully."))
}

/// `POST /v1/unload_lora_adapter`.
pub(crate) async fn unload_adapter(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<String, ApiError> {
    let UnloadBody { lora_name } = read_json(body)?;
    let info = state.shared.scheduler.unload_adapter(&lora_name)?;
    tracing::info!(adapter = info.name, generation = info.generation, "adapter unloaded");
    Ok(format!("Success: LoRA adapter '{lora_name}' removed successfully."))
}
