//! OpenAI's answer and stream shapes.

use pelton_llm_types::{
    Answer, AnswerMessage, Choice, Chunk, ChunkChoice, Delta, PromptDetails, Usage,
};
use pelton_scheduler::{Completion, TokenLogprob, Usage as Tokens};
use pelton_tokens::TextCodec;
use serde_json::{Value, json};

/// What all parts of one answer carry.
#[derive(Debug, Clone)]
pub(crate) struct AnswerHead {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) model: String,
}

/// Counts of one or more choices of the same prompt: the prompt counts once.
pub(crate) fn usage_of(choices: &[Tokens]) -> Usage {
    let prompt = choices.first().map_or(0, |tokens| tokens.prompt_tokens);
    let cached = choices.first().map_or(0, |tokens| tokens.cached_tokens);
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
) -> Answer {
    let usage: Vec<Tokens> = completions.iter().map(|completion| completion.usage).collect();
    let choices = (0..)
        .zip(completions)
        .map(|(index, completion)| Choice {
            index,
            message: AnswerMessage {
                role: "assistant".to_owned(),
                content: Some(completion.text),
                ..AnswerMessage::default()
            },
            finish_reason: Some(completion.finish_reason.as_str().to_owned()),
            logprobs: with_logprobs.then(|| logprobs_json(&completion.logprobs, codec)),
            ..Choice::default()
        })
        .collect();
    Answer {
        id: head.id,
        object: "chat.completion".to_owned(),
        created: head.created,
        model: head.model,
        choices,
        usage: Some(usage_of(&usage)),
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
