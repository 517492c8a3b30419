//! Which grammar a request asks its answer to follow: OpenAI's `response_format`, vLLM's
//! `structured_outputs` and its older `guided_*` fields.

use pelton_constrain::Grammar;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;

/// The fields of a request that ask for a format.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AnswerFormat {
    response_format: Option<ResponseFormat>,
    structured_outputs: Option<StructuredOutputs>,
    guided_json: Option<Value>,
    guided_regex: Option<String>,
    guided_choice: Option<Vec<String>>,
    guided_grammar: Option<String>,
}

/// OpenAI's field, with the two that SGLang and vLLM add.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
    Regex { pattern: String },
    Grammar { grammar: String },
}

#[derive(Debug, Deserialize)]
struct NamedSchema {
    #[serde(default)]
    schema: Value,
}

#[derive(Debug, Deserialize)]
struct StructuredOutputs {
    json: Option<Value>,
    json_object: Option<bool>,
    regex: Option<String>,
    choice: Option<Vec<String>>,
    grammar: Option<String>,
}

impl AnswerFormat {
    /// The one grammar that is asked for, if any.
    pub(crate) fn grammar(&mut self) -> Result<Option<Grammar>, ApiError> {
        let mut asked: Vec<(&'static str, Grammar)> = Vec::new();
        match self.response_format.take() {
            None | Some(ResponseFormat::Text) => {}
            Some(ResponseFormat::JsonObject) => {
                asked.push(("response_format", Grammar::json_object()));
            }
            Some(ResponseFormat::JsonSchema { json_schema }) => {
                asked.push(("response_format", schema("response_format", json_schema.schema)?));
            }
            Some(ResponseFormat::Regex { pattern }) => {
                asked.push(("response_format", Grammar::Regex(pattern)));
            }
            Some(ResponseFormat::Grammar { grammar }) => {
                asked.push(("response_format", Grammar::Lark(grammar)));
            }
        }
        let outputs = self.structured_outputs.take();
        let (json, object, regex, choice, grammar) = outputs.map_or_else(Default::default, |own| {
            (own.json, own.json_object, own.regex, own.choice, own.grammar)
        });
        if object == Some(true) {
            asked.push(("structured_outputs", Grammar::json_object()));
        }
        for (name, value) in
            [("structured_outputs", json), ("guided_json", self.guided_json.take())]
        {
            if let Some(value) = value {
                asked.push((name, schema(name, value)?));
            }
        }
        let texts = [("structured_outputs", regex), ("guided_regex", self.guided_regex.take())];
        asked.extend(
            texts.into_iter().filter_map(|(name, text)| Some((name, Grammar::Regex(text?)))),
        );
        let lists = [("structured_outputs", choice), ("guided_choice", self.guided_choice.take())];
        asked.extend(
            lists.into_iter().filter_map(|(name, list)| Some((name, Grammar::Choice(list?)))),
        );
        let larks =
            [("structured_outputs", grammar), ("guided_grammar", self.guided_grammar.take())];
        asked.extend(
            larks.into_iter().filter_map(|(name, text)| Some((name, Grammar::Lark(text?)))),
        );
        if asked.len() > 1 {
            let message = "the answer can follow one format; send only one of response_format, \
                           structured_outputs and the guided fields, with one kind in it";
            return Err(ApiError::bad_request("invalid_value", Some(asked[1].0), message));
        }
        Ok(asked.pop().map(|(_, grammar)| grammar))
    }
}

/// A schema, which vLLM also takes as the text of one.
fn schema(parameter: &'static str, value: Value) -> Result<Grammar, ApiError> {
    let parsed = match value {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| {
            let message = format!("the schema is not valid JSON: {error}");
            ApiError::bad_request("invalid_value", Some(parameter), message)
        })?,
        value => value,
    };
    match parsed {
        Value::Object(_) | Value::Bool(_) => Ok(Grammar::JsonSchema(parsed)),
        _ => Err(ApiError::bad_request(
            "invalid_value",
            Some(parameter),
            "a JSON Schema is an object, such as {\"type\": \"object\"}",
        )),
    }
}
