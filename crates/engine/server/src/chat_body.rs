//! The body of a chat request: what is understood, what may be ignored, and what is refused because
//! ignoring it would give another answer than was asked for.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use pelton_constrain::Grammar;
use pelton_scheduler::Sampling;
use pelton_tokens::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::answer_format::AnswerFormat;
use crate::error::ApiError;
use crate::router::BODY_LIMIT;
use crate::tool_format::Function;

/// Most alternatives per request.
const MAX_CHOICES: usize = 16;
/// Most stop texts.
const MAX_STOPS: usize = 16;
/// Most alternatives per token, as in OpenAI.
const MAX_TOP_LOGPROBS: usize = 20;
/// Most tools, as in OpenAI.
const MAX_TOOLS: usize = 128;
/// Most calls in an answer that must be calls.
const MAX_FORCED_CALLS: usize = 8;

/// Fields that say something about the caller or the account, not about the answer.
const IGNORED: [&str; 7] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// A chat request as it comes.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatBody {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    n: Option<usize>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<Map<String, Value>>,
    tools: Option<Value>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[serde(flatten)]
    format: AnswerFormat,
    ignore_eos: Option<bool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
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

/// A chat request that can be run.
#[derive(Debug)]
pub(crate) struct ChatPlan {
    pub(crate) sampling: Sampling,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    pub(crate) choices: usize,
    pub(crate) logprobs: Option<usize>,
    pub(crate) include_usage: bool,
    pub(crate) ignore_eos: bool,
    pub(crate) tools: Option<ToolPlan>,
    pub(crate) grammar: Option<Grammar>,
}

/// The tools of a request.
#[derive(Debug)]
pub(crate) struct ToolPlan {
    /// As the template sees them.
    pub(crate) offered: Value,
    /// The functions of which one must be called, and how many calls there may be.
    pub(crate) forced: Option<(Vec<Function>, usize)>,
}

/// Reads a JSON body, or says in OpenAI's shape what is wrong with it.
pub(crate) fn read_json<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, ApiError> {
    let body = body.map_err(|rejection| {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::too_large(BODY_LIMIT)
        } else {
            ApiError::bad_request("invalid_body", None, rejection.body_text())
        }
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request("invalid_json", None, format!("the body cannot be read: {error}"))
    })
}

fn unsupported(parameter: &str, message: &str) -> ApiError {
    ApiError::bad_request("unsupported_parameter", Some(parameter), message)
}

fn in_range(
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

fn at_most(parameter: &str, value: usize, most: usize) -> Result<usize, ApiError> {
    if value <= most {
        return Ok(value);
    }
    let message = format!("{parameter} is {value}, but at most {most} are possible");
    Err(ApiError::bad_request("invalid_value", Some(parameter), message))
}

impl ChatBody {
    /// Checks everything, with `defaults` for what is absent.
    pub(crate) fn plan(&mut self, defaults: &Sampling) -> Result<ChatPlan, ApiError> {
        self.refuse_unsupported()?;
        if self.messages.is_empty() {
            let message = "messages is empty; send at least one";
            return Err(ApiError::bad_request("invalid_value", Some("messages"), message));
        }
        let stop = match self.stop.take() {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stops)) => stops,
        };
        at_most("stop", stop.len(), MAX_STOPS)?;
        let choices = at_most("n", self.n.unwrap_or(1), MAX_CHOICES)?;
        if choices == 0 {
            return Err(ApiError::bad_request("invalid_value", Some("n"), "n must be at least 1"));
        }
        let top_logprobs = self.top_logprobs.unwrap_or(0);
        at_most("top_logprobs", top_logprobs, MAX_TOP_LOGPROBS)?;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        let tools = self.tool_plan()?;
        let grammar = self.format.grammar()?;
        if grammar.is_some() && tools.as_ref().is_some_and(|tools| tools.forced.is_some()) {
            let message = "the answer cannot follow response_format and be a call of a tool";
            return Err(ApiError::bad_request("invalid_value", Some("tool_choice"), message));
        }
        Ok(ChatPlan {
            sampling: self.sampling(defaults)?,
            max_tokens: max_tokens.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            stop,
            choices,
            logprobs: self.logprobs.unwrap_or(false).then_some(top_logprobs),
            include_usage: self
                .stream_options
                .as_ref()
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            ignore_eos: self.ignore_eos.unwrap_or(false),
            tools,
            grammar,
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
        Ok(Sampling {
            temperature: temperature.unwrap_or(defaults.temperature),
            top_p: top_p.unwrap_or(defaults.top_p),
            top_k,
            min_p: min_p.unwrap_or(defaults.min_p),
            seed: self.seed.map(i64::cast_unsigned),
            frequency_penalty: frequency.unwrap_or(defaults.frequency_penalty),
            presence_penalty: presence.unwrap_or(defaults.presence_penalty),
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

    fn tool_plan(&mut self) -> Result<Option<ToolPlan>, ApiError> {
        let invalid = |parameter: &str, message: String| {
            ApiError::bad_request("invalid_value", Some(parameter), message)
        };
        let tools = match self.tools.take() {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(tools)) => tools,
            Some(_) => return Err(invalid("tools", "tools must be a list".to_owned())),
        };
        at_most("tools", tools.len(), MAX_TOOLS)?;
        let functions: Vec<Function> = tools
            .iter()
            .enumerate()
            .map(|(at, tool)| {
                function_of(tool).map_err(|what| invalid("tools", format!("tools[{at}] {what}")))
            })
            .collect::<Result<_, _>>()?;
        let several = self.parallel_tool_calls.unwrap_or(true);
        let most = if several { MAX_FORCED_CALLS } else { 1 };
        let forced = match self.tool_choice.take().unwrap_or(Value::Null) {
            Value::Null => None,
            Value::String(choice) if choice == "auto" => None,
            Value::String(choice) if choice == "none" => return Ok(None),
            Value::String(choice) if choice == "required" => Some((functions, most)),
            Value::Object(choice) => {
                let name = choice.get("function").and_then(|function| function.get("name"));
                let Some(name) = name.and_then(Value::as_str) else {
                    let message = "tool_choice names one function as \
                                   {\"type\": \"function\", \"function\": {\"name\": …}}";
                    return Err(invalid("tool_choice", message.to_owned()));
                };
                let chosen = functions.into_iter().find(|function| function.name == name);
                let chosen = chosen
                    .ok_or_else(|| invalid("tool_choice", format!("`{name}` is not in tools")))?;
                Some((vec![chosen], 1))
            }
            other => {
                let message = format!(
                    "tool_choice is `auto`, `none`, `required` or names a function, not {other}"
                );
                return Err(invalid("tool_choice", message));
            }
        };
        if forced.is_some() && tools.is_empty() {
            return Err(invalid(
                "tool_choice",
                "a call is asked for, but tools is empty".to_owned(),
            ));
        }
        Ok((!tools.is_empty()).then_some(ToolPlan { offered: Value::Array(tools), forced }))
    }

    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        for (name, value) in &self.rest {
            let means_nothing = value.is_null()
                || IGNORED.contains(&name.as_str())
                || (name == "modalities" && *value == serde_json::json!(["text"]))
                || (name == "echo" && *value == Value::Bool(false));
            if !means_nothing {
                let message = format!("the parameter {name} is not supported by this engine");
                return Err(unsupported(name, &message));
            }
        }
        Ok(())
    }
}

/// The function of a tool, or what is wrong with it.
fn function_of(tool: &Value) -> Result<Function, &'static str> {
    if tool["type"] != "function" {
        return Err("must have the type `function`");
    }
    let function = &tool["function"];
    let name = function["name"].as_str().filter(|name| !name.is_empty());
    let Some(name) = name else { return Err("has no function.name") };
    let parameters = match &function["parameters"] {
        // Without a schema, any object.
        Value::Null => serde_json::json!({ "type": "object" }),
        schema @ Value::Object(_) => schema.clone(),
        _ => return Err("has parameters that are no JSON Schema"),
    };
    Ok(Function { name: name.to_owned(), parameters })
}
