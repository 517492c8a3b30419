//! `POST /v1/embeddings`, in OpenAI's shape.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pelton_encoder::Embedder;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat_body::read_json;
use crate::completion_body::{Prompt, PromptField};
use crate::error::ApiError;
use crate::reading::{ReadingState, refused, truncation};
use crate::sampling_body::{at_most, refuse_unsupported};

/// Most inputs, as in OpenAI.
const MAX_INPUTS: usize = 2048;

#[derive(Debug, Deserialize)]
struct EmbeddingBody {
    model: String,
    input: PromptField,
    #[serde(default)]
    encoding_format: EncodingFormat,
    dimensions: Option<usize>,
    truncate_prompt_tokens: Option<i64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    /// As numbers.
    #[default]
    Float,
    /// As the bytes of 32-bit floats, little-endian.
    Base64,
}

/// Makes vectors of texts or token lists.
pub(crate) async fn embed(
    State(state): State<ReadingState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body: EmbeddingBody = read_json(body)?;
    state.check_model(&body.model)?;
    let embedder = state.embedder()?;
    refuse_unsupported(&body.rest, |_, _| false)?;
    let dimensions = body.dimensions.unwrap_or(embedder.dimensions());
    if !(1..=embedder.dimensions()).contains(&dimensions) {
        let most = embedder.dimensions();
        let message = format!("dimensions is {dimensions}, but must be between 1 and {most}");
        return Err(ApiError::bad_request("invalid_value", Some("dimensions"), message));
    }
    let cut = truncation(body.truncate_prompt_tokens, embedder.max_tokens())?;
    let inputs = body.input.into_prompts();
    at_most("input", inputs.len(), MAX_INPUTS)?;
    let (vectors, tokens) = state
        .compute(move |state, work| {
            let embedder = state.embedder()?;
            let encoded = inputs.into_iter().map(|input| encode(embedder, input, cut));
            let encoded: Vec<Vec<u32>> = encoded.collect::<Result<_, _>>()?;
            let tokens: usize = encoded.iter().map(Vec::len).sum();
            let vectors =
                embedder.embed(encoded, work).map_err(|error| refused(&error, "input"))?;
            Ok(vectors.map(|vectors| (vectors, tokens)))
        })
        .await?;
    state.finished(tokens);
    let full = state.embedder()?.dimensions();
    let data = vectors.into_iter().enumerate().map(|(index, mut vector)| {
        if dimensions < full {
            Embedder::shorten(&mut vector, dimensions);
        }
        json!({"object": "embedding", "index": index,
               "embedding": written(&vector, body.encoding_format)})
    });
    Ok(Json(json!({
        "id": state.next_id("embd"),
        "object": "list",
        "created": state.now(),
        "model": body.model,
        "data": data.collect::<Vec<Value>>(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

fn encode(embedder: &Embedder, input: Prompt, cut: Option<usize>) -> Result<Vec<u32>, ApiError> {
    match input {
        Prompt::Text(text) => embedder.encode(&text, cut).map_err(|error| refused(&error, "input")),
        Prompt::Tokens(mut tokens) => {
            tokens.truncate(cut.unwrap_or(usize::MAX));
            Ok(tokens)
        }
    }
}

fn written(vector: &[f32], format: EncodingFormat) -> Value {
    match format {
        EncodingFormat::Float => json!(vector),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            Value::String(STANDARD.encode(bytes))
        }
    }
}
