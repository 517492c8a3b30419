//! Running generations as HTTP hands them out: awaited, or merged into one event stream.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use pelton_llm_types::encode_data;
use pelton_scheduler::{Completion, Event, TokenLogprob};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::error::ApiError;

/// The events of one choice; dropping it cancels the generation.
pub(crate) type Run = UnboundedReceiver<Event>;

/// A finished choice.
pub(crate) struct Finished {
    /// Of the prompt's tokens but the first, when asked for.
    pub(crate) prompt_logprobs: Vec<TokenLogprob>,
    pub(crate) completion: Completion,
}

/// Waits for the end.
pub(crate) async fn finished(mut run: Run) -> Result<Finished, ApiError> {
    let mut prompt_logprobs = Vec::new();
    while let Some(event) = run.recv().await {
        match event {
            Event::Prompt(scored) => prompt_logprobs = scored,
            Event::Done(completion) => return Ok(Finished { prompt_logprobs, completion }),
            Event::Broken(broken) => return Err(ApiError::broken_grammar(&broken)),
            Event::Text { .. } => {}
        }
    }
    Err(ApiError::stopped())
}

/// One event of a choice, or the end of its channel.
pub(crate) enum Happened {
    Event(Event),
    Ended,
}

/// Server-sent events: `opening`, then what `bytes_of` makes of each choice's events.
pub(crate) fn event_stream(
    opening: Vec<u8>,
    runs: Vec<Run>,
    mut bytes_of: impl FnMut(u32, Happened) -> Vec<u8> + Send + 'static,
) -> Response {
    let events = merged(runs).map(move |(index, happened)| bytes_of(index, happened));
    let bytes = stream::iter([opening]).chain(events).map(Ok::<_, Infallible>);
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(bytes)).into_response()
}

/// Events of all choices as they come, each with its choice; dropping the stream cancels them.
fn merged(runs: Vec<Run>) -> impl Stream<Item = (u32, Happened)> {
    stream::select_all((0..).zip(runs).map(|(index, run)| {
        UnboundedReceiverStream::new(run)
            .map(Happened::Event)
            .chain(stream::iter([Happened::Ended]))
            .map(move |happened| (index, happened))
    }))
}

/// The last words of a stream that does not end well.
pub(crate) fn encode_error(error: &ApiError) -> Vec<u8> {
    encode_json(&error.body())
}

/// One event with a JSON object.
pub(crate) fn encode_json(value: &impl Serialize) -> Vec<u8> {
    match serde_json::to_string(value) {
        Ok(text) => encode_data(&text),
        // Strings, numbers and maps with string keys always serialize.
        Err(_) => Vec::new(),
    }
}
