//! The fields that say how text is generated, the same for conversations and for plain prompts.

use std::sync::Arc;

use pelton_constrain::Constraint;
use pelton_scheduler::{GenerateRequest, Sampling};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Most alternatives per prompt.
const MAX_CHOICES: usize = 16;
/// Most stop texts, and most stop tokens.
const MAX_STOPS: usize = 16;
const MAX_STOP_TOKENS: usize = 64;
/// Furthest priority from 0.
const MAX_PRIORITY: u32 = 1_000_000;
/// Most alternatives per token, as in OpenAI's chat and in vLLM.
pub(crate) const MAX_TOP_LOGPROBS: usize = 20;

/// Fields that say something about the caller or the account, not about the answer.
const IGNORED: [&str; 6] = [
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// The fields as they come: OpenAI's, and vLLM's where OpenAI has none.
#[derive(Debug, Deserialize)]
pub(crate) struct SamplingBody {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    seed: Option<i64>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    logit_bias: Option<Map<String, Value>>,
    n: Option<usize>,
    stop: Option<OneOrMany>,
    stop_token_ids: Option<Vec<u32>>,
    include_stop_str_in_output: Option<bool>,
    ignore_eos: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    priority: Option<i32>,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The fields checked, with the model's defaults for what was absent.
#[derive(Debug)]
pub(crate) struct GenerationPlan {
    pub(crate) sampling: Sampling,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    pub(crate) stop_token_ids: Vec<u32>,
    pub(crate) include_stop: bool,
    pub(crate) ignore_eos: bool,
    /// Alternatives per prompt.
    pub(crate) choices: usize,
    pub(crate) logprobs: Option<usize>,
    pub(crate) prompt_logprobs: Option<usize>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) priority: i32,
    /// Whose requests share one part of the engine; the adapter's where nobody is named.
    pub(crate) user: Option<Arc<str>>,
}

impl SamplingBody {
    /// Checks everything, with `defaults` for what is absent.
    pub(crate) fn plan(&mut self, defaults: &Sampling) -> Result<GenerationPlan, ApiError> {
        let stop = match self.stop.take() {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stops)) => stops,
        };
        at_most("stop", stop.len(), MAX_STOPS)?;
        let stop_token_ids = self.stop_token_ids.take().unwrap_or_default();
        at_most("stop_token_ids", stop_token_ids.len(), MAX_STOP_TOKENS)?;
        let choices = at_most("n", self.n.unwrap_or(1), MAX_CHOICES)?;
        if choices == 0 {
            return Err(ApiError::bad_request("invalid_value", Some("n"), "n must be at least 1"));
        }
        let priority = self.priority.unwrap_or(0);
        if priority.unsigned_abs() > MAX_PRIORITY {
            let message = format!(
                "priority is {priority}, but must be between -{MAX_PRIORITY} and {MAX_PRIORITY}"
            );
            return Err(ApiError::bad_request("invalid_value", Some("priority"), message));
        }
        let options = self.stream_options.as_ref();
        Ok(GenerationPlan {
            sampling: self.sampling(defaults)?,
            max_tokens: None,
            stop,
            stop_token_ids,
            include_stop: self.include_stop_str_in_output.unwrap_or(false),
            ignore_eos: self.ignore_eos.unwrap_or(false),
            choices,
            logprobs: None,
            prompt_logprobs: None,
            stream: self.stream.unwrap_or(false),
            include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
            priority,
            user: self.user.take().map(Into::into),
        })
    }

    fn sampling(&self, defaults: &Sampling) -> Result<Sampling, ApiError> {
        let top_k = match self.top_k {
            // vLLM and others write "all" as -1 or 0.
            Some(-1 | 0) => 0,
            Some(top_k) => usize::try_from(top_k).map_err(|_| {
                let message = format!("top_k is {top_k}, but must be positive, or -1 for all");
                ApiError::bad_request("invalid_value", Some("top_k"), message)
            })?,
            None => defaults.top_k,
        };
        let temperature = in_range("temperature", self.temperature, 0.0, 2.0)?;
        let top_p = in_range("top_p", self.top_p, 0.0, 1.0)?;
        let min_p = in_range("min_p", self.min_p, 0.0, 1.0)?;
        let frequency = in_range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        let presence = in_range("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        let repetition = in_range("repetition_penalty", self.repetition_penalty, 0.01, 10.0)?;
        Ok(Sampling {
            temperature: temperature.unwrap_or(defaults.temperature),
            top_p: top_p.unwrap_or(defaults.top_p),
            top_k,
            min_p: min_p.unwrap_or(defaults.min_p),
            seed: self.seed.map(i64::cast_unsigned),
            frequency_penalty: frequency.unwrap_or(defaults.frequency_penalty),
            presence_penalty: presence.unwrap_or(defaults.presence_penalty),
            repetition_penalty: repetition.unwrap_or(defaults.repetition_penalty),
            logit_bias: self.logit_bias()?,
        })
    }

    fn logit_bias(&self) -> Result<Vec<(u32, f32)>, ApiError> {
        let entries = self.logit_bias.iter().flatten().map(|(token, bias)| {
            let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias));
            token.parse().ok().zip(bias).map(|(token, bias)| (token, bias as f32)).ok_or_else(
                || {
                    let message = "logit_bias maps token ids to numbers between -100 and 100";
                    ApiError::bad_request("invalid_value", Some("logit_bias"), message)
                },
            )
        });
        entries.collect()
    }
}

impl GenerationPlan {
    /// The request of one choice; choices after the first take their seeds from the first one's.
    pub(crate) fn request(
        &self,
        prompt: Vec<u32>,
        adapter: Option<String>,
        constraint: Option<Constraint>,
        choice: u64,
    ) -> GenerateRequest {
        let seed = self.sampling.seed.map(|seed| seed.wrapping_add(choice));
        let flow = match (&self.user, &adapter) {
            (Some(user), _) => Arc::clone(user),
            (None, Some(adapter)) => adapter.as_str().into(),
            (None, None) => Arc::default(),
        };
        GenerateRequest {
            prompt,
            adapter,
            priority: self.priority,
            flow,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            stop_token_ids: self.stop_token_ids.clone(),
            include_stop: self.include_stop,
            ignore_eos: self.ignore_eos,
            sampling: Sampling { seed, ..self.sampling.clone() },
            logprobs: self.logprobs,
            prompt_logprobs: self.prompt_logprobs,
            stream: self.stream,
            constraint,
        }
    }
}

/// Refuses what is neither understood nor without effect on the answer: ignoring it would give
/// another answer than was asked for.
pub(crate) fn refuse_unsupported(
    rest: &Map<String, Value>,
    harmless: impl Fn(&str, &Value) -> bool,
) -> Result<(), ApiError> {
    for (name, value) in rest {
        if !value.is_null() && !IGNORED.contains(&name.as_str()) && !harmless(name, value) {
            let message = format!("the parameter {name} is not supported by this engine");
            return Err(unsupported(name, &message));
        }
    }
    Ok(())
}

pub(crate) fn unsupported(parameter: &str, message: &str) -> ApiError {
    ApiError::bad_request("unsupported_parameter", Some(parameter), message)
}

pub(crate) fn in_range(
    parameter: &str,
    value: Option<f32>,
    low: f32,
    high: f32,
) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(ApiError::bad_request(
            "invalid_value",
            Some(parameter),
            format!("{parameter} is {value}, but must be between {low} and {high}"),
        )),
        value => Ok(value),
    }
}

pub(crate) fn at_most(parameter: &str, value: usize, most: usize) -> Result<usize, ApiError> {
    if value <= most {
        return Ok(value);
    }
    let message = format!("{parameter} is {value}, but at most {most} are possible");
    Err(ApiError::bad_request("invalid_value", Some(parameter), message))
}
