//! `POST /v1/chat/completions`.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use pelton_constrain::Constraint;
use pelton_llm_types::{Chunk, encode_data, encode_done};
use pelton_scheduler::{Completion, Event, GenerateRequest, TokenLogprob, Usage};
use pelton_tokens::TextCodec;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::answer::{AnswerHead, TOOL_CALLS, answer, logprobs_json, usage_of};
use crate::chat_body::{ChatBody, ChatPlan, read_json};
use crate::error::ApiError;
use crate::split_tool_calls::ToolSplitter;
use crate::state::EngineState;
use crate::tool_format::ToolFormat;

/// Prompts longer than this are encoded on a thread of their own.
const LONG_PROMPT_BYTES: usize = 64 * 1024;

/// Answers a conversation, whole or as server-sent events.
pub(crate) async fn complete_chat(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let mut body: ChatBody = read_json(body)?;
    let adapter = state.adapter_of(&body.model)?;
    let mut plan = body.plan(&state.shared.defaults)?;
    let stream = body.stream.unwrap_or(false);
    let head = AnswerHead { id: state.next_id(), created: state.now(), model: body.model.clone() };
    let format = state.shared.tool_format;
    if let Some((functions, most)) = plan.tools.as_mut().and_then(|tools| tools.forced.take()) {
        plan.grammar = Some(format.grammar(&functions, most));
    }
    let offered = plan.tools.as_mut().map(|tools| tools.offered.take());
    let prompt = encode(&state, body, offered).await?;
    let constraint = match plan.grammar.take() {
        Some(grammar) => Some(state.constraint(grammar).await?),
        None => None,
    };
    let runs = submit(&state, prompt, adapter, &plan, constraint, stream)?;
    let codec = Arc::clone(state.shared.scheduler.codec());
    if stream {
        return Ok(stream_response(
            head,
            runs,
            &plan,
            codec,
            plan.tools.is_some().then_some(format),
        ));
    }
    let mut completions = Vec::with_capacity(runs.len());
    for run in runs {
        completions.push(finished(run).await?);
    }
    let format = plan.tools.is_some().then_some(format);
    Ok(Json(answer(head, completions, plan.logprobs.is_some(), &codec, format)).into_response())
}

async fn encode(
    state: &EngineState,
    body: ChatBody,
    tools: Option<Value>,
) -> Result<Vec<u32>, ApiError> {
    let codec = Arc::clone(state.shared.scheduler.codec());
    let bytes: usize = body.messages.iter().map(|message| message.content.len()).sum();
    let run = move || codec.apply(&body.messages, true, tools.as_ref());
    if bytes < LONG_PROMPT_BYTES {
        return Ok(run()?);
    }
    let encoded = tokio::task::spawn_blocking(run).await;
    Ok(encoded.map_err(|_| ApiError::stopped())??)
}

/// One generation per choice. Choices after the first take their seeds from the first one's.
fn submit(
    state: &EngineState,
    prompt: Vec<u32>,
    adapter: Option<String>,
    plan: &ChatPlan,
    constraint: Option<Constraint>,
    stream: bool,
) -> Result<Vec<UnboundedReceiver<Event>>, ApiError> {
    let request = GenerateRequest {
        prompt,
        adapter,
        max_tokens: plan.max_tokens,
        stop: plan.stop.clone(),
        ignore_eos: plan.ignore_eos,
        sampling: plan.sampling.clone(),
        logprobs: plan.logprobs,
        stream,
        constraint,
    };
    let requests = (0..).zip(std::iter::repeat_n(request, plan.choices));
    let runs = requests.map(|(choice, mut request)| {
        request.sampling.seed = request.sampling.seed.map(|seed| seed.wrapping_add(choice));
        Ok(state.shared.scheduler.submit(request)?)
    });
    runs.collect()
}

async fn finished(mut run: UnboundedReceiver<Event>) -> Result<Completion, ApiError> {
    while let Some(event) = run.recv().await {
        match event {
            Event::Done(completion) => return Ok(completion),
            Event::Broken(broken) => return Err(ApiError::broken_grammar(&broken)),
            Event::Text { .. } => {}
        }
    }
    Err(ApiError::stopped())
}

/// One event of a choice, or the end of its channel.
enum Happened {
    Event(Event),
    Ended,
}

/// Turns events of all choices into bytes.
struct ChatStream {
    head: AnswerHead,
    codec: Arc<TextCodec>,
    with_logprobs: bool,
    include_usage: bool,
    /// Per choice, where tools were offered.
    splitters: Option<Vec<ToolSplitter>>,
    /// Per choice, its counts once it is done.
    done: Vec<Option<Usage>>,
    broken: bool,
}

fn stream_response(
    head: AnswerHead,
    runs: Vec<UnboundedReceiver<Event>>,
    plan: &ChatPlan,
    codec: Arc<TextCodec>,
    tools: Option<ToolFormat>,
) -> Response {
    let mut state = ChatStream {
        head,
        codec,
        with_logprobs: plan.logprobs.is_some(),
        include_usage: plan.include_usage,
        splitters: tools.map(|format| runs.iter().map(|_| ToolSplitter::new(format)).collect()),
        done: vec![None; runs.len()],
        broken: false,
    };
    let opening: Vec<u8> =
        (0..runs.len() as u32).flat_map(|index| encode_chunk(&state.head.opening(index))).collect();
    let events = merged(runs).map(move |(index, happened)| state.bytes_of(index, happened));
    let bytes = stream::iter([opening]).chain(events).map(Ok::<_, Infallible>);
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(bytes)).into_response()
}

/// Events of all choices as they come, each with its choice; dropping the stream cancels them.
fn merged(runs: Vec<UnboundedReceiver<Event>>) -> impl Stream<Item = (u32, Happened)> {
    stream::select_all((0..).zip(runs).map(|(index, run)| {
        UnboundedReceiverStream::new(run)
            .map(Happened::Event)
            .chain(stream::iter([Happened::Ended]))
            .map(move |happened| (index, happened))
    }))
}

impl ChatStream {
    fn bytes_of(&mut self, index: u32, happened: Happened) -> Vec<u8> {
        match happened {
            Happened::Event(Event::Text { text, logprobs }) => {
                let logprobs = self.logprobs(&logprobs);
                let Some(splitters) = &mut self.splitters else {
                    return encode_chunk(&self.head.text(index, text, logprobs));
                };
                let pieces = splitters[index as usize].push(&text);
                self.head.pieces(index, pieces, logprobs).iter().flat_map(encode_chunk).collect()
            }
            Happened::Event(Event::Done(completion)) => self.close(index, &completion),
            Happened::Event(Event::Broken(broken)) => {
                self.cut_off(&ApiError::broken_grammar(&broken))
            }
            // A channel ends after `Done`; one that ends before was cut off by the engine stopping.
            Happened::Ended if self.done[index as usize].is_none() && !self.broken => {
                self.cut_off(&ApiError::stopped())
            }
            Happened::Ended => Vec::new(),
        }
    }

    /// The last words of a stream that does not end well.
    fn cut_off(&mut self, error: &ApiError) -> Vec<u8> {
        self.broken = true;
        serde_json::to_string(&error.body())
            .map_or_else(|_| Vec::new(), |error| encode_data(&error))
    }

    fn close(&mut self, index: u32, completion: &Completion) -> Vec<u8> {
        self.done[index as usize] = Some(completion.usage);
        // Log-probabilities are left of tokens that gave no text of their own, such as the end token.
        let logprobs = self.logprobs(&completion.logprobs);
        let mut reason = completion.finish_reason.as_str();
        let mut bytes = Vec::new();
        if let Some(splitter) = self.splitters.as_mut().and_then(|all| all.get_mut(index as usize))
        {
            let pieces = splitter.finish();
            bytes.extend(self.head.pieces(index, pieces, None).iter().flat_map(encode_chunk));
            if splitter.calls() > 0 {
                reason = TOOL_CALLS;
            }
        }
        bytes.extend(encode_chunk(&self.head.closing(index, reason, logprobs)));
        let all: Option<Vec<Usage>> = self.done.iter().copied().collect();
        if let Some(all) = all {
            if self.include_usage {
                bytes.extend(encode_chunk(&self.head.usage(usage_of(&all))));
            }
            bytes.extend(encode_done());
        }
        bytes
    }

    fn logprobs(&self, tokens: &[TokenLogprob]) -> Option<Value> {
        (self.with_logprobs && !tokens.is_empty()).then(|| logprobs_json(tokens, &self.codec))
    }
}

fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    match serde_json::to_string(chunk) {
        Ok(text) => encode_data(&text),
        // Strings, numbers and maps with string keys always serialize.
        Err(_) => Vec::new(),
    }
}
