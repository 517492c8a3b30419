//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use pelton_constrain::Constraint;
use pelton_llm_types::encode_done;
use pelton_scheduler::{Completion, Event, TokenLogprob, Usage};
use pelton_tokens::{TemplateOptions, TextCodec};
use serde_json::Value;

use crate::answer::{AnswerHead, TOOL_CALLS, answer, logprobs_json, usage_of};
use crate::chat_body::{ChatBody, read_json};
use crate::error::ApiError;
use crate::runs::{Happened, Run, encode_error, encode_json, event_stream, finished};
use crate::sampling_body::GenerationPlan;
use crate::split_answer::{AnswerParts, AnswerSplitter};
use crate::state::EngineState;

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
    let stream = plan.generation.stream;
    let head = AnswerHead {
        id: state.next_id("chatcmpl"),
        created: state.now(),
        model: body.model.clone(),
    };
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
    let runs = submit(&state, &prompt, adapter.as_deref(), &plan.generation, constraint.as_ref())?;
    let codec = Arc::clone(state.shared.scheduler.codec());
    let tools = plan.tools.is_some().then_some(format);
    let parts = AnswerParts::of(&codec, &prompt, constraint.is_some(), tools);
    if stream {
        return Ok(stream_response(head, runs, &plan.generation, codec, parts));
    }
    let mut completions = Vec::with_capacity(runs.len());
    for run in runs {
        completions.push(finished(run).await?.completion);
    }
    let with_logprobs = plan.generation.logprobs.is_some();
    Ok(Json(answer(head, completions, with_logprobs, &codec, parts)).into_response())
}

async fn encode(
    state: &EngineState,
    body: ChatBody,
    tools: Option<Value>,
) -> Result<Vec<u32>, ApiError> {
    let codec = Arc::clone(state.shared.scheduler.codec());
    let bytes: usize = body.messages.iter().map(|message| message.content.len()).sum();
    let run = move || {
        let options = TemplateOptions {
            add_generation_prompt: true,
            tools: tools.as_ref(),
            variables: body.chat_template_kwargs.as_ref(),
        };
        codec.apply(&body.messages, options)
    };
    if bytes < LONG_PROMPT_BYTES {
        return Ok(run()?);
    }
    let encoded = tokio::task::spawn_blocking(run).await;
    Ok(encoded.map_err(|_| ApiError::stopped())??)
}

fn submit(
    state: &EngineState,
    prompt: &[u32],
    adapter: Option<&str>,
    plan: &GenerationPlan,
    constraint: Option<&Constraint>,
) -> Result<Vec<Run>, ApiError> {
    let runs = (0..plan.choices as u64).map(|choice| {
        let (adapter, constraint) = (adapter.map(str::to_owned), constraint.cloned());
        let request = plan.request(prompt.to_vec(), adapter, constraint, choice);
        let run = state.shared.scheduler.submit(request);
        run.map_err(|error| ApiError::not_run(error, "messages"))
    });
    runs.collect()
}

/// Turns events of all choices into bytes.
struct ChatStream {
    head: AnswerHead,
    codec: Arc<TextCodec>,
    with_logprobs: bool,
    include_usage: bool,
    /// Per choice, where answers may have other parts than text.
    splitters: Option<Vec<AnswerSplitter>>,
    /// Per choice, its counts once it is done.
    done: Vec<Option<Usage>>,
    broken: bool,
}

fn stream_response(
    head: AnswerHead,
    runs: Vec<Run>,
    plan: &GenerationPlan,
    codec: Arc<TextCodec>,
    parts: AnswerParts,
) -> Response {
    let mut state = ChatStream {
        head,
        codec,
        with_logprobs: plan.logprobs.is_some(),
        include_usage: plan.include_usage,
        splitters: runs.iter().map(|_| parts.splitter()).collect(),
        done: vec![None; runs.len()],
        broken: false,
    };
    let opening: Vec<u8> =
        (0..runs.len() as u32).flat_map(|index| encode_json(&state.head.opening(index))).collect();
    event_stream(opening, runs, move |index, happened| state.bytes_of(index, happened))
}

impl ChatStream {
    fn bytes_of(&mut self, index: u32, happened: Happened) -> Vec<u8> {
        match happened {
            // Nobody asks for the probabilities of a rendered conversation.
            Happened::Event(Event::Prompt(_)) => Vec::new(),
            Happened::Event(Event::Text { text, logprobs }) => {
                let logprobs = self.logprobs(&logprobs);
                let Some(splitters) = &mut self.splitters else {
                    return encode_json(&self.head.text(index, text, logprobs));
                };
                let pieces = splitters[index as usize].push(&text);
                self.head.pieces(index, pieces, logprobs).iter().flat_map(encode_json).collect()
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
        encode_error(error)
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
            bytes.extend(self.head.pieces(index, pieces, None).iter().flat_map(encode_json));
            if splitter.has_calls() {
                reason = TOOL_CALLS;
            }
        }
        bytes.extend(encode_json(&self.head.closing(index, reason, logprobs)));
        let all: Option<Vec<Usage>> = self.done.iter().copied().collect();
        if let Some(all) = all {
            if self.include_usage {
                bytes.extend(encode_json(&self.head.usage(usage_of(&all, all.len()))));
            }
            bytes.extend(encode_done());
        }
        bytes
    }

    fn logprobs(&self, tokens: &[TokenLogprob]) -> Option<Value> {
        (self.with_logprobs && !tokens.is_empty()).then(|| logprobs_json(tokens, &self.codec))
    }
}
