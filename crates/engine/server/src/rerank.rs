//! `POST /v1/rerank`, in the shape that Jina, Cohere and vLLM share.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat_body::read_json;
use crate::error::ApiError;
use crate::reading::{ReadingState, refused, truncation};
use crate::sampling_body::{at_most, refuse_unsupported};

/// Most documents, as in Cohere.
const MAX_DOCUMENTS: usize = 1000;

#[derive(Debug, Deserialize)]
struct RerankBody {
    model: String,
    query: String,
    documents: Vec<Document>,
    top_n: Option<usize>,
    #[serde(default = "yes")]
    return_documents: bool,
    /// Pairs are cut to what the model reads unless this says otherwise.
    truncate_prompt_tokens: Option<i64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A document, as a text or as an object that has one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Document {
    Text(String),
    Object { text: String },
}

fn yes() -> bool {
    true
}

impl Document {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { text } => text,
        }
    }
}

/// Scores documents for a query and lists them best first.
pub(crate) async fn rerank(
    State(state): State<ReadingState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body: RerankBody = read_json(body)?;
    state.check_model(&body.model)?;
    let reranker = state.reranker()?;
    refuse_unsupported(&body.rest, |_, _| false)?;
    if body.documents.is_empty() {
        let message = "documents is empty; send at least one";
        return Err(ApiError::bad_request("invalid_value", Some("documents"), message));
    }
    at_most("documents", body.documents.len(), MAX_DOCUMENTS)?;
    if body.top_n == Some(0) {
        let message = "top_n must be at least 1";
        return Err(ApiError::bad_request("invalid_value", Some("top_n"), message));
    }
    let cut = truncation(Some(body.truncate_prompt_tokens.unwrap_or(-1)), reranker.max_tokens())?;
    let documents: Vec<String> = body.documents.into_iter().map(Document::into_text).collect();
    let query = body.query;
    let (documents, scores, tokens) = state
        .compute(move |state, work| {
            let reranker = state.reranker()?;
            let pairs = documents.iter().map(|document| reranker.encode(&query, document, cut));
            let pairs: Vec<_> =
                pairs.collect::<Result<_, _>>().map_err(|error| refused(&error, "documents"))?;
            let tokens: usize = pairs.iter().map(|pair| pair.tokens.len()).sum();
            let scores = reranker.score(&pairs, work);
            Ok(scores.map(|scores| (documents, scores, tokens)))
        })
        .await?;
    state.finished(tokens);
    let mut ranked: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(body.top_n.unwrap_or(usize::MAX));
    let results = ranked.into_iter().map(|(index, score)| {
        let mut result = json!({"index": index, "relevance_score": score});
        if body.return_documents {
            result["document"] = json!({"text": documents[index]});
        }
        result
    });
    Ok(Json(json!({
        "id": state.next_id("rerank"),
        "model": body.model,
        "results": results.collect::<Vec<Value>>(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}
