//! The body of `POST /v1/completions`, in OpenAI's older dialect with vLLM's additions.

use pelton_constrain::Grammar;
use pelton_scheduler::Sampling;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::answer_format::AnswerFormat;
use crate::error::ApiError;
use crate::sampling_body::{
    GenerationPlan, MAX_TOP_LOGPROBS, SamplingBody, at_most, refuse_unsupported, unsupported,
};

/// Most prompts in one request.
const MAX_PROMPTS: usize = 1024;
/// Tokens generated where the request does not say, as in OpenAI.
const DEFAULT_MAX_TOKENS: usize = 16;

/// A request as it comes.
#[derive(Debug, Deserialize)]
pub(crate) struct CompletionBody {
    pub(crate) model: String,
    prompt: PromptField,
    max_tokens: Option<u64>,
    echo: Option<bool>,
    logprobs: Option<usize>,
    suffix: Option<String>,
    best_of: Option<usize>,
    add_special_tokens: Option<bool>,
    #[serde(flatten)]
    sampling: SamplingBody,
    #[serde(flatten)]
    format: AnswerFormat,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One prompt or several, as text or as tokens.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PromptField {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// One prompt, as text or as tokens.
#[derive(Debug, Clone)]
pub(crate) enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// A request that can be run.
#[derive(Debug)]
pub(crate) struct CompletionPlan {
    pub(crate) prompts: Vec<Prompt>,
    /// Whether the tokenizer's own tokens, such as a first one, are added to texts.
    pub(crate) add_special_tokens: bool,
    /// Whether the answer begins with the prompt.
    pub(crate) echo: bool,
    pub(crate) generation: GenerationPlan,
    pub(crate) grammar: Option<Grammar>,
}

impl PromptField {
    /// The prompts in order. An empty list is one prompt without tokens, of whichever kind.
    pub(crate) fn into_prompts(self) -> Vec<Prompt> {
        match self {
            Self::Text(text) => vec![Prompt::Text(text)],
            Self::Tokens(tokens) => vec![Prompt::Tokens(tokens)],
            Self::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
            Self::TokenLists(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
        }
    }
}

impl CompletionBody {
    /// Checks everything, with `defaults` for what is absent.
    pub(crate) fn plan(mut self, defaults: &Sampling) -> Result<CompletionPlan, ApiError> {
        refuse_unsupported(&self.rest, |_, _| false)?;
        if self.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty()) {
            return Err(unsupported("suffix", "this engine does not fill in before a suffix"));
        }
        let mut generation = self.sampling.plan(defaults)?;
        if self.best_of.is_some_and(|best_of| best_of != generation.choices) {
            let message = "best_of is only supported where it equals n; ask for all with n";
            return Err(unsupported("best_of", message));
        }
        let echo = self.echo.unwrap_or(false);
        let max_tokens = self
            .max_tokens
            .map_or(DEFAULT_MAX_TOKENS, |most| usize::try_from(most).unwrap_or(usize::MAX));
        if max_tokens == 0 && !echo {
            let message = "max_tokens may only be 0 together with echo; ask for at least 1";
            return Err(ApiError::bad_request("invalid_value", Some("max_tokens"), message));
        }
        let logprobs = self.logprobs;
        at_most("logprobs", logprobs.unwrap_or(0), MAX_TOP_LOGPROBS)?;
        let prompts = self.prompt.into_prompts();
        at_most("prompt", prompts.len(), MAX_PROMPTS)?;
        generation.max_tokens = Some(max_tokens);
        generation.logprobs = logprobs;
        generation.prompt_logprobs = logprobs.filter(|_| echo);
        Ok(CompletionPlan {
            prompts,
            add_special_tokens: self.add_special_tokens.unwrap_or(true),
            echo,
            generation,
            grammar: self.format.grammar()?,
        })
    }
}
