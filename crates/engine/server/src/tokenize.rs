//! `POST /tokenize` and `POST /detokenize`, in vLLM's shapes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use pelton_tokens::Message;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat_body::read_json;
use crate::error::ApiError;
use crate::state::EngineState;

#[derive(Debug, Deserialize)]
struct TokenizeBody {
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    #[serde(default = "yes")]
    add_generation_prompt: bool,
    tools: Option<Value>,
    #[serde(default)]
    return_token_strs: bool,
}

#[derive(Debug, Deserialize)]
struct DetokenizeBody {
    tokens: Vec<u32>,
}

fn yes() -> bool {
    true
}

/// Encodes a text as it stands, or a conversation through the template.
pub(crate) async fn tokenize(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body: TokenizeBody = read_json(body)?;
    let codec = state.shared.scheduler.codec();
    let tokens = match (&body.prompt, &body.messages) {
        (Some(prompt), None) => codec.encode(prompt)?,
        (None, Some(messages)) => {
            codec.apply(messages, body.add_generation_prompt, body.tools.as_ref())?
        }
        _ => {
            let message = "send either prompt or messages";
            return Err(ApiError::bad_request("invalid_value", Some("prompt"), message));
        }
    };
    let names: Option<Vec<String>> = body
        .return_token_strs
        .then(|| tokens.iter().map(|&id| codec.id_to_token(id).unwrap_or_default()).collect());
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": state.shared.scheduler.context_length(),
        "tokens": tokens,
        "token_strs": names,
    })))
}

/// Decodes tokens to text; special tokens leave nothing.
pub(crate) async fn detokenize(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let DetokenizeBody { tokens } = read_json(body)?;
    Ok(Json(json!({"prompt": state.shared.scheduler.codec().decode(&tokens)})))
}
