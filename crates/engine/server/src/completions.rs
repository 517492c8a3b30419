//! `POST /v1/completions`: plain prompts, in OpenAI's older dialect.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use pelton_llm_types::{Answer, Choice, encode_done};
use pelton_scheduler::{Completion, Event, FinishReason, TokenLogprob, Usage as Tokens};
use pelton_tokens::{TextCodec, TokensError};
use serde_json::{Value, json};

use crate::answer::{AnswerHead, usage_of};
use crate::chat_body::read_json;
use crate::completion_body::{CompletionBody, CompletionPlan, Prompt};
use crate::error::ApiError;
use crate::runs::{Finished, Happened, Run, encode_error, encode_json, event_stream, finished};
use crate::sampling_body::GenerationPlan;
use crate::state::EngineState;
use crate::token_scores::TokenScores;

/// A prompt as it was sent, or as its tokens read, and its tokens.
#[derive(Debug)]
struct EncodedPrompt {
    text: String,
    tokens: Vec<u32>,
}

/// Completes one or more prompts, whole or as server-sent events.
pub(crate) async fn complete_text(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body: CompletionBody = read_json(body)?;
    let adapter = state.adapter_of(&body.model)?;
    let head =
        AnswerHead { id: state.next_id("cmpl"), created: state.now(), model: body.model.clone() };
    let CompletionPlan { prompts, add_special_tokens, echo, generation, grammar } =
        body.plan(&state.shared.defaults)?;
    let prompts = encode(&state, prompts, add_special_tokens).await?;
    let constraint = match grammar {
        Some(grammar) => Some(state.constraint(grammar).await?),
        None => None,
    };
    let mut runs = Vec::with_capacity(prompts.len() * generation.choices);
    for prompt in &prompts {
        for choice in 0..generation.choices as u64 {
            let request = generation.request(
                prompt.tokens.clone(),
                adapter.clone(),
                constraint.clone(),
                choice,
            );
            let run = state.shared.scheduler.submit(request);
            runs.push(run.map_err(|error| ApiError::not_run(error, "prompt"))?);
        }
    }
    let answer = TextAnswer {
        head,
        codec: Arc::clone(state.shared.scheduler.codec()),
        prompts,
        echo,
        choices: generation.choices,
        with_logprobs: generation.logprobs.is_some(),
    };
    if generation.stream {
        return Ok(answer.streamed(runs, &generation));
    }
    answer.whole(runs).await.map(|answer| Json(answer).into_response())
}

/// Prompts to tokens, off the async threads: they may be many and long.
async fn encode(
    state: &EngineState,
    prompts: Vec<Prompt>,
    add_special_tokens: bool,
) -> Result<Vec<EncodedPrompt>, ApiError> {
    let codec = Arc::clone(state.shared.scheduler.codec());
    let encode = move |prompt| match prompt {
        Prompt::Tokens(tokens) => {
            Ok::<_, TokensError>(EncodedPrompt { text: codec.decode(&tokens), tokens })
        }
        Prompt::Text(text) => {
            let tokens = codec.encode_with(&text, add_special_tokens)?;
            Ok(EncodedPrompt { text, tokens })
        }
    };
    let all = move || prompts.into_iter().map(encode).collect::<Result<Vec<_>, _>>();
    let encoded = tokio::task::spawn_blocking(all).await.map_err(|_| ApiError::stopped())?;
    encoded
        .map_err(|error| ApiError::bad_request("invalid_prompt", Some("prompt"), error.to_string()))
}

/// What all choices share.
struct TextAnswer {
    head: AnswerHead,
    codec: Arc<TextCodec>,
    prompts: Vec<EncodedPrompt>,
    echo: bool,
    /// Per prompt.
    choices: usize,
    with_logprobs: bool,
}

impl TextAnswer {
    async fn whole(self, runs: Vec<Run>) -> Result<Answer, ApiError> {
        let mut choices = Vec::with_capacity(runs.len());
        let mut usage = Vec::with_capacity(runs.len());
        for (index, run) in (0..).zip(runs) {
            let Finished { prompt_logprobs, completion } = finished(run).await?;
            usage.push(completion.usage);
            choices.push(self.choice(index, &prompt_logprobs, completion));
        }
        let usage = Some(usage_of(&usage, self.choices));
        Ok(Answer { usage, ..self.part(choices) })
    }

    fn choice(&self, index: u32, scored: &[TokenLogprob], completion: Completion) -> Choice {
        let Completion { text, logprobs, finish_reason, .. } = completion;
        let mut offset = 0;
        let (mut whole, mut scores) = (String::new(), TokenScores::default());
        if self.echo {
            (whole, scores) = self.echoed(index, scored);
            offset = whole.chars().count();
        }
        whole.push_str(&text);
        scores.add_generated(&logprobs, &mut offset, &self.codec);
        text_choice(index, whole, self.logprobs(&scores), Some(finish_reason))
    }

    fn prompt_of(&self, index: u32) -> &EncodedPrompt {
        &self.prompts[index as usize / self.choices]
    }

    /// The prompt of a choice and its scores.
    fn echoed(&self, index: u32, scored: &[TokenLogprob]) -> (String, TokenScores) {
        let EncodedPrompt { text, tokens } = self.prompt_of(index);
        let scores = if self.with_logprobs {
            TokenScores::of_prompt(text, tokens, scored, &self.codec)
        } else {
            TokenScores::default()
        };
        (text.clone(), scores)
    }

    fn logprobs(&self, scores: &TokenScores) -> Option<Value> {
        self.with_logprobs.then(|| json!(scores))
    }

    /// Whole answers and pieces of a stream have one shape.
    fn part(&self, choices: Vec<Choice>) -> Answer {
        Answer {
            id: self.head.id.clone(),
            object: "text_completion".to_owned(),
            created: self.head.created,
            model: self.head.model.clone(),
            choices,
            ..Answer::default()
        }
    }

    fn streamed(self, runs: Vec<Run>, plan: &GenerationPlan) -> Response {
        let mut stream = TextStream {
            progress: runs.iter().map(|_| Progress::default()).collect(),
            include_usage: plan.include_usage,
            broken: false,
            answer: self,
        };
        event_stream(Vec::new(), runs, move |index, happened| stream.bytes_of(index, happened))
    }
}

fn text_choice(
    index: u32,
    text: String,
    logprobs: Option<Value>,
    reason: Option<FinishReason>,
) -> Choice {
    Choice {
        index,
        text: Some(text),
        logprobs,
        finish_reason: reason.map(|reason| reason.as_str().to_owned()),
        ..Choice::default()
    }
}

/// How far a choice of a stream has come.
#[derive(Debug, Default)]
struct Progress {
    echoed: bool,
    /// Characters of the choice's text before the next token.
    offset: usize,
    usage: Option<Tokens>,
}

/// Turns events of all choices into bytes.
struct TextStream {
    answer: TextAnswer,
    progress: Vec<Progress>,
    include_usage: bool,
    broken: bool,
}

impl TextStream {
    fn bytes_of(&mut self, index: u32, happened: Happened) -> Vec<u8> {
        match happened {
            Happened::Event(Event::Prompt(scored)) => self.echo(index, &scored),
            Happened::Event(Event::Text { text, logprobs }) => {
                let mut bytes = self.echo(index, &[]);
                bytes.extend(self.piece(index, text, &logprobs, None));
                bytes
            }
            Happened::Event(Event::Done(completion)) => self.close(index, &completion),
            Happened::Event(Event::Broken(broken)) => {
                self.cut_off(&ApiError::broken_grammar(&broken))
            }
            // A channel ends after `Done`; one that ends before was cut off by the engine stopping.
            Happened::Ended if self.progress[index as usize].usage.is_none() && !self.broken => {
                self.cut_off(&ApiError::stopped())
            }
            Happened::Ended => Vec::new(),
        }
    }

    /// The prompt, once, before anything else of its choice.
    fn echo(&mut self, index: u32, scored: &[TokenLogprob]) -> Vec<u8> {
        let progress = &mut self.progress[index as usize];
        if !self.answer.echo || std::mem::replace(&mut progress.echoed, true) {
            return Vec::new();
        }
        let (text, scores) = self.answer.echoed(index, scored);
        progress.offset = text.chars().count();
        let logprobs = self.answer.logprobs(&scores);
        encode_json(&self.answer.part(vec![text_choice(index, text, logprobs, None)]))
    }

    fn piece(
        &mut self,
        index: u32,
        text: String,
        generated: &[TokenLogprob],
        reason: Option<FinishReason>,
    ) -> Vec<u8> {
        let mut scores = TokenScores::default();
        let offset = &mut self.progress[index as usize].offset;
        scores.add_generated(generated, offset, &self.answer.codec);
        let logprobs = self.answer.logprobs(&scores).filter(|_| !generated.is_empty());
        encode_json(&self.answer.part(vec![text_choice(index, text, logprobs, reason)]))
    }

    fn close(&mut self, index: u32, completion: &Completion) -> Vec<u8> {
        let mut bytes = self.echo(index, &[]);
        // Log-probabilities are left of tokens that gave no text of their own, such as the end token.
        let reason = Some(completion.finish_reason);
        bytes.extend(self.piece(index, String::new(), &completion.logprobs, reason));
        self.progress[index as usize].usage = Some(completion.usage);
        let all: Option<Vec<Tokens>> = self.progress.iter().map(|choice| choice.usage).collect();
        if let Some(all) = all {
            if self.include_usage {
                let usage = Some(usage_of(&all, self.answer.choices));
                bytes.extend(encode_json(&Answer { usage, ..self.answer.part(Vec::new()) }));
            }
            bytes.extend(encode_done());
        }
        bytes
    }

    fn cut_off(&mut self, error: &ApiError) -> Vec<u8> {
        self.broken = true;
        encode_error(error)
    }
}
