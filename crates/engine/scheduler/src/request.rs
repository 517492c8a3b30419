//! What a caller can ask, and what comes back.

use std::sync::Arc;

use pelton_constrain::{Broken, Constraint};

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token; 1 samples from the model's own distribution.
    pub temperature: f32,
    /// Keep the most likely tokens until they cover this share; 1 keeps all.
    pub top_p: f32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep tokens at least this likely, relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Same seed, same text, whatever else runs. Drawn at random where absent.
    pub seed: Option<u64>,
    /// Subtracted from a token's logit per time it was generated.
    pub frequency_penalty: f32,
    /// Subtracted once from the logit of a token that was generated.
    pub presence_penalty: f32,
    /// Divides positive logits, and multiplies negative ones, of tokens in the prompt or the answer
    /// (CTRL, Keskar et al. 2019); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            seed: None,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: Vec::new(),
        }
    }
}

/// One generation.
#[derive(Debug, Clone, Default)]
pub struct GenerateRequest {
    /// The rendered prompt.
    pub prompt: Vec<u32>,
    /// Name of a loaded adapter; `None` runs the base.
    pub adapter: Option<String>,
    /// Lower is served first, and has others make room.
    pub priority: i32,
    /// Requests of one flow (a user's, an adapter's) share one part of the engine.
    pub flow: Arc<str>,
    /// Most tokens to generate; as many as the context holds where absent. 0 only reads the prompt.
    pub max_tokens: Option<usize>,
    /// Texts that end the generation.
    pub stop: Vec<String>,
    /// Tokens that end the generation, besides the model's own.
    pub stop_token_ids: Vec<u32>,
    /// Whether the stop text or token that ended the generation is part of the answer.
    pub include_stop: bool,
    /// Goes on after the end-of-text token, for benchmarks.
    pub ignore_eos: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// With `Some(n)`, every token carries its log-probability and those of the `n` likeliest.
    pub logprobs: Option<usize>,
    /// With `Some(n)`, so does every token of the prompt but the first. The prefix cache does not help
    /// then: what it holds are keys and values, not probabilities.
    pub prompt_logprobs: Option<usize>,
    /// Whether text is sent as it comes, or only at the end.
    pub stream: bool,
    /// The grammar that the answer must follow, at its start.
    pub constraint: Option<Constraint>,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model ended the text, or a stop text appeared.
    Stop,
    /// The token limit was reached.
    Length,
}

impl FinishReason {
    /// OpenAI's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// Tokens counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated, the end token included.
    pub completion_tokens: usize,
    /// Prompt tokens whose keys and values came from the prefix cache.
    pub cached_tokens: usize,
}

/// A token with its log-probability in the model's own distribution (before temperature,
/// penalties and truncation).
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<(u32, f32)>,
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The whole text, also when it was streamed.
    pub text: String,
    /// The generated tokens, the end token included.
    pub tokens: Vec<u32>,
    /// Log-probabilities of all tokens, when asked for and not streamed.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it took.
    pub usage: Usage,
}

/// What a running generation sends. A channel that closes without [`Event::Done`] means that the
/// engine was stopped.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The prompt was read: log-probabilities of its tokens but the first, when asked for.
    Prompt(Vec<TokenLogprob>),
    /// More text; only when streaming.
    Text {
        /// The new part, whole characters.
        text: String,
        /// Log-probabilities of the tokens since the last event, when asked for.
        logprobs: Vec<TokenLogprob>,
    },
    /// The end.
    Done(Completion),
    /// The answer's grammar became too complex to follow; nothing comes after this.
    Broken(Broken),
}

/// Why a request is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The prompt has no tokens.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The prompt has ids that the model does not know.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Ids are below this.
        vocab_size: usize,
    },
    /// Prompt and answer do not fit the model.
    #[error(
        "this model's maximum context length is {context} tokens, but {prompt} tokens of prompt and \
         {max_tokens} of answer were asked for; shorten the prompt or lower max_tokens"
    )]
    ContextTooLong {
        /// Tokens that fit.
        context: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the answer.
        max_tokens: usize,
    },
    /// The adapter is not loaded.
    #[error("the adapter `{0}` is not loaded")]
    UnknownAdapter(String),
    /// Too many requests wait already.
    #[error("{waiting} requests are waiting already; try again in a moment")]
    Overloaded {
        /// How many.
        waiting: usize,
    },
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopped,
}
