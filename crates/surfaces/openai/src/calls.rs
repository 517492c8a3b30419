//! Calls of models: `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/rerank`.

use crate::error::OpenAiError;
use crate::{OpenAi, caller, read_body};
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use pelton_gateway::{Call, Refusal, Served, ServedBody};
use pelton_ids::{InferenceId, ReleaseId, RequestId};
use pelton_llm_types::RequestKind;
use std::convert::Infallible;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const INFERENCE_ID: HeaderName = HeaderName::from_static("x-pelton-inference-id");
const RELEASE_ID: HeaderName = HeaderName::from_static("x-pelton-release-id");
const RELEASE: HeaderName = HeaderName::from_static("x-pelton-release");
const SESSION: HeaderName = HeaderName::from_static("x-pelton-session");
const TRACE_ID: HeaderName = HeaderName::from_static("x-pelton-trace-id");

pub(crate) async fn create(kind: RequestKind, state: OpenAi, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id = caller::request_id(&parts);
    let call = match read_call(&state, kind, &parts, body, id).await {
        Ok(call) => call,
        Err(error) => return named(error.into_response(), id, None, None),
    };
    match state.gateway.serve(call).await {
        Ok(Served { inference, release, body }) => {
            named(answered(body), id, Some(inference), release)
        }
        Err(Refusal { error, inference, release }) => {
            named(OpenAiError::from(*error).into_response(), id, inference, release)
        }
    }
}

/// The caller is checked before the body is read, so that strangers cannot make us read much.
async fn read_call(
    state: &OpenAi,
    kind: RequestKind,
    parts: &Parts,
    body: Body,
    id: RequestId,
) -> Result<Call, OpenAiError> {
    let context = caller::context(state, parts, id).await?;
    let body = read_body::read(&parts.headers, body, state.max_body_bytes).await;
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(Call {
        kind,
        context,
        body,
        session: text(SESSION).map(Into::into),
        trace: text(TRACE_ID).and_then(|id| id.parse().ok()),
    })
}

fn answered(body: ServedBody) -> Response {
    match body {
        ServedBody::Whole(bytes) => {
            let json = HeaderValue::from_static("application/json");
            with_header(Response::new(bytes.into()), CONTENT_TYPE, json)
        }
        ServedBody::Stream(stream) => {
            let body = Body::from_stream(stream.map(Ok::<_, Infallible>));
            let events = HeaderValue::from_static("text/event-stream");
            let response = with_header(Response::new(body), CONTENT_TYPE, events);
            with_header(response, CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        }
    }
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// Says which call it was and what answered it.
fn named(
    mut response: Response,
    request: RequestId,
    inference: Option<InferenceId>,
    release: Option<(ReleaseId, String)>,
) -> Response {
    let headers = response.headers_mut();
    set(headers, REQUEST_ID, &request.to_string());
    if let Some(inference) = inference {
        set(headers, INFERENCE_ID, &inference.to_string());
    }
    if let Some((id, name)) = release {
        set(headers, RELEASE_ID, &id.to_string());
        set(headers, RELEASE, &name);
    }
    response
}

/// A name that no header can carry is left out; its id is there.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
