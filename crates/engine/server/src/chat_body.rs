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
use crate::sampling_body::{
    GenerationPlan, MAX_TOP_LOGPROBS, SamplingBody, at_most, refuse_unsupported,
};
use crate::tool_format::Function;

/// Most tools, as in OpenAI.
const MAX_TOOLS: usize = 128;
/// Most calls in an answer that must be calls.
const MAX_FORCED_CALLS: usize = 8;

/// A chat request as it comes.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatBody {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    tools: Option<Value>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    /// Variables of the template; vLLM's name.
    pub(crate) chat_template_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    sampling: SamplingBody,
    #[serde(flatten)]
    format: AnswerFormat,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A chat request that can be run.
#[derive(Debug)]
pub(crate) struct ChatPlan {
    pub(crate) generation: GenerationPlan,
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

impl ChatBody {
    /// Checks everything, with `defaults` for what is absent.
    pub(crate) fn plan(&mut self, defaults: &Sampling) -> Result<ChatPlan, ApiError> {
        refuse_unsupported(&self.rest, |name, value| {
            (name == "modalities" && *value == serde_json::json!(["text"]))
                || (name == "echo" && *value == Value::Bool(false))
        })?;
        if self.messages.is_empty() {
            let message = "messages is empty; send at least one";
            return Err(ApiError::bad_request("invalid_value", Some("messages"), message));
        }
        let mut generation = self.sampling.plan(defaults)?;
        let top_logprobs = self.top_logprobs.unwrap_or(0);
        at_most("top_logprobs", top_logprobs, MAX_TOP_LOGPROBS)?;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            let message = "max_tokens must be at least 1";
            return Err(ApiError::bad_request("invalid_value", Some("max_tokens"), message));
        }
        generation.max_tokens = max_tokens.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        generation.logprobs = self.logprobs.unwrap_or(false).then_some(top_logprobs);
        let tools = self.tool_plan()?;
        let grammar = self.format.grammar()?;
        if grammar.is_some() && tools.as_ref().is_some_and(|tools| tools.forced.is_some()) {
            let message = "the answer cannot follow response_format and be a call of a tool";
            return Err(ApiError::bad_request("invalid_value", Some("tool_choice"), message));
        }
        Ok(ChatPlan { generation, tools, grammar })
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
