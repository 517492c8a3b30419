//! What an answer can be made to follow.

use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

/// Longest grammar, in bytes of its text.
const MAX_BYTES: usize = 256 * 1024;

/// White space between two parts of JSON: room for a line break and an indentation. Without a bound, a model that
/// likes blanks never comes to an end.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,20}";

/// What an answer must follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Grammar {
    /// A JSON value that a schema allows (JSON Schema, draft 2020-12 and earlier; see llguidance for the keywords).
    JsonSchema(Value),
    /// A text that a regular expression matches from its first character to its last.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in llguidance's dialect of Lark.
    Lark(String),
}

/// Why a grammar cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// It is too long.
    #[error("the grammar has {bytes} bytes, at most {most} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// There is nothing to choose from.
    #[error("the list of choices is empty")]
    NoChoices,
    /// It does not compile, or is too complex.
    #[error("the grammar cannot be used: {0}")]
    Invalid(String),
}

impl Grammar {
    /// A JSON object with any content.
    #[must_use]
    pub fn json_object() -> Self {
        Self::JsonSchema(json!({ "type": "object" }))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::JsonSchema(schema) => schema.to_string().len(),
            Self::Regex(text) | Self::Lark(text) => text.len(),
            Self::Choice(choices) => choices.iter().map(String::len).sum(),
        }
    }

    /// The same in llguidance's form.
    pub(crate) fn to_top_level(&self) -> Result<TopLevelGrammar, GrammarError> {
        let bytes = self.bytes();
        if bytes > MAX_BYTES {
            return Err(GrammarError::TooLong { bytes, most: MAX_BYTES });
        }
        Ok(match self {
            Self::JsonSchema(schema) => {
                TopLevelGrammar::from_json_schema(bound_white_space(schema.clone()))
            }
            Self::Regex(expression) => TopLevelGrammar::from_regex(expression),
            Self::Choice(choices) if choices.is_empty() => return Err(GrammarError::NoChoices),
            Self::Choice(choices) => {
                let quoted: Vec<String> =
                    choices.iter().map(|choice| Value::from(choice.as_str()).to_string()).collect();
                TopLevelGrammar::from_lark(format!("start: {}", quoted.join(" | ")))
            }
            Self::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        })
    }
}

/// The schema with a bound on white space, unless it sets llguidance's options itself. For schemas inside a Lark
/// grammar; [`Grammar::JsonSchema`] has it anyway.
#[must_use]
pub fn bound_white_space(schema: Value) -> Value {
    let mut object = match schema {
        Value::Object(object) => object,
        // Everything is allowed: the same as a schema that says nothing.
        Value::Bool(true) => serde_json::Map::new(),
        other => return other,
    };
    object.entry("x-guidance").or_insert_with(|| json!({ "whitespace_pattern": WHITE_SPACE }));
    Value::Object(object)
}
