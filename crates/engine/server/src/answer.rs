//! OpenAI's answer and stream shapes.

use pelton_llm_types::{
    Answer, AnswerMessage, Choice, Chunk, ChunkChoice, Delta, PromptDetails, ToolCall,
    ToolCallDelta, Usage,
};
use pelton_scheduler::{Completion, TokenLogprob, Usage as Tokens};
use pelton_tokens::TextCodec;
use serde_json::{Map, Value, json};

use crate::split_answer::{AnswerParts, AnswerSplitter};
use crate::split_tool_calls::Piece;

/// What a model thought, under vLLM's name.
const REASONING: &str = "reasoning";

/// The finish reason of an answer that calls tools.
pub(crate) const TOOL_CALLS: &str = "tool_calls";

/// What all parts of one answer carry.
#[derive(Debug, Clone)]
pub(crate) struct AnswerHead {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) model: String,
}

/// Counts of all choices, of which every `per_prompt` belong to one prompt: it counts once.
pub(crate) fn usage_of(choices: &[Tokens], per_prompt: usize) -> Usage {
    let prompts = || choices.iter().step_by(per_prompt.max(1));
    let prompt: usize = prompts().map(|tokens| tokens.prompt_tokens).sum();
    let cached: usize = prompts().map(|tokens| tokens.cached_tokens).sum();
    let completion: usize = choices.iter().map(|tokens| tokens.completion_tokens).sum();
    Usage {
        prompt_tokens: prompt as u64,
        completion_tokens: completion as u64,
        total_tokens: (prompt + completion) as u64,
        prompt_tokens_details: Some(PromptDetails {
            cached_tokens: Some(cached as u64),
            ..PromptDetails::default()
        }),
        ..Usage::default()
    }
}

/// `logprobs` of a choice.
pub(crate) fn logprobs_json(tokens: &[TokenLogprob], codec: &TextCodec) -> Value {
    let entry = |token: u32, logprob: f32| {
        let bytes = codec.token_bytes().get(token);
        // A special token has no text; its name tells what happened.
        let text = if bytes.is_empty() {
            codec.id_to_token(token).unwrap_or_default()
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        };
        // JSON has no infinity; no probability that matters is this low.
        json!({"token": text, "logprob": logprob.max(-9999.0), "bytes": bytes})
    };
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let mut value = entry(token.token, token.logprob);
            let top = token.top.iter().map(|&(token, logprob)| entry(token, logprob));
            value["top_logprobs"] = Value::Array(top.collect());
            value
        })
        .collect();
    json!({"content": content, "refusal": null})
}

/// The whole answer.
pub(crate) fn answer(
    head: AnswerHead,
    completions: Vec<Completion>,
    with_logprobs: bool,
    codec: &TextCodec,
    parts: AnswerParts,
) -> Answer {
    let usage: Vec<Tokens> = completions.iter().map(|completion| completion.usage).collect();
    let choices = (0..)
        .zip(completions)
        .map(|(index, completion)| {
            let message = match parts.splitter() {
                Some(splitter) => head.message_of(index, splitter, &completion.text),
                None => {
                    AnswerMessage { content: Some(completion.text), ..AnswerMessage::default() }
                }
            };
            let calls = !message.tool_calls.is_empty();
            let reason = if calls { TOOL_CALLS } else { completion.finish_reason.as_str() };
            Choice {
                index,
                message: AnswerMessage { role: "assistant".to_owned(), ..message },
                finish_reason: Some(reason.to_owned()),
                logprobs: with_logprobs.then(|| logprobs_json(&completion.logprobs, codec)),
                ..Choice::default()
            }
        })
        .collect();
    Answer {
        id: head.id,
        object: "chat.completion".to_owned(),
        created: head.created,
        model: head.model,
        choices,
        usage: Some(usage_of(&usage, usage.len())),
        ..Answer::default()
    }
}

impl AnswerHead {
    fn chunk(&self, choices: Vec<ChunkChoice>) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.created,
            model: self.model.clone(),
            choices,
            ..Chunk::default()
        }
    }

    /// The first chunk of a choice.
    pub(crate) fn opening(&self, index: u32) -> Chunk {
        let delta = Delta {
            role: Some("assistant".to_owned()),
            content: Some(String::new()),
            ..Delta::default()
        };
        self.chunk(vec![ChunkChoice { index, delta, ..ChunkChoice::default() }])
    }

    /// More text of a choice.
    pub(crate) fn text(&self, index: u32, text: String, logprobs: Option<Value>) -> Chunk {
        let delta = Delta { content: Some(text), ..Delta::default() };
        self.chunk(vec![ChunkChoice { index, delta, logprobs, ..ChunkChoice::default() }])
    }

    /// More reasoning of a choice.
    fn reasoning(&self, index: u32, text: String, logprobs: Option<Value>) -> Chunk {
        let rest = Map::from_iter([(REASONING.to_owned(), Value::String(text))]);
        let delta = Delta { rest, ..Delta::default() };
        self.chunk(vec![ChunkChoice { index, delta, logprobs, ..ChunkChoice::default() }])
    }

    /// What a splitter made clear. The first chunk carries the log-probabilities.
    pub(crate) fn pieces(
        &self,
        index: u32,
        pieces: Vec<Piece>,
        logprobs: Option<Value>,
    ) -> Vec<Chunk> {
        let mut logprobs = logprobs;
        let mut chunks: Vec<Chunk> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => self.text(index, text, logprobs.take()),
                Piece::Reasoning(text) => self.reasoning(index, text, logprobs.take()),
                Piece::Call(call, function) => {
                    let delta = ToolCallDelta {
                        index: call as u32,
                        id: Some(self.call_id(index, call)),
                        kind: Some("function".to_owned()),
                        function: Some(json!(function)),
                        ..ToolCallDelta::default()
                    };
                    let delta = Delta { tool_calls: vec![delta], ..Delta::default() };
                    let logprobs = logprobs.take();
                    self.chunk(vec![ChunkChoice {
                        index,
                        delta,
                        logprobs,
                        ..ChunkChoice::default()
                    }])
                }
            })
            .collect();
        if logprobs.is_some() {
            // The tokens were held back with their text, but their log-probabilities are not lost.
            chunks.push(self.text(index, String::new(), logprobs));
        }
        chunks
    }

    /// A message whose text is split into reasoning, content and calls.
    fn message_of(&self, index: u32, mut splitter: AnswerSplitter, text: &str) -> AnswerMessage {
        let mut pieces = splitter.push(text);
        pieces.extend(splitter.finish());
        let mut message = AnswerMessage::default();
        let (mut content, mut reasoning) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(text) => content.push_str(&text),
                Piece::Reasoning(text) => reasoning.push_str(&text),
                Piece::Call(call, function) => message.tool_calls.push(ToolCall {
                    id: self.call_id(index, call),
                    kind: "function".to_owned(),
                    function: Some(function),
                    rest: Map::new(),
                }),
            }
        }
        let blank = content.trim().is_empty() && !message.tool_calls.is_empty();
        message.content = (!blank).then_some(content);
        if !reasoning.is_empty() {
            message.rest.insert(REASONING.to_owned(), Value::String(reasoning));
        }
        message
    }

    /// An id that no other call of this server has.
    fn call_id(&self, index: u32, call: usize) -> String {
        let answer = self.id.trim_start_matches("chatcmpl-");
        format!("call_{answer}_{index}_{call}")
    }

    /// The last chunk of a choice.
    pub(crate) fn closing(&self, index: u32, reason: &str, logprobs: Option<Value>) -> Chunk {
        let finish_reason = Some(reason.to_owned());
        self.chunk(vec![ChunkChoice { index, finish_reason, logprobs, ..ChunkChoice::default() }])
    }

    /// The counts, after all choices.
    pub(crate) fn usage(&self, usage: Usage) -> Chunk {
        Chunk { usage: Some(usage), ..self.chunk(Vec::new()) }
    }
}
