//! How a model family writes calls of tools: what to look for in its answers, and what to make it write where a
//! call is asked for.

use pelton_constrain::{Grammar, bound_white_space};
use pelton_tokens::TextCodec;
use serde_json::{Value, json};

/// Where a Hermes call begins and ends.
pub(crate) const HERMES: (&str, &str) = ("<tool_call>", "</tool_call>");

/// A family's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolFormat {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`, any number of them: Hermes, Qwen 2.5 and 3. The
    /// fallback for templates that name no other.
    Hermes,
    /// `[TOOL_CALLS] [{"name": …, "arguments": …}, …]`; the marker is a special token and leaves no text.
    Mistral,
    /// `{"name": …, "parameters": …}` alone, at times after a special token: Llama 3.1 and later.
    Llama3,
}

impl ToolFormat {
    /// The way of the model that `codec` belongs to, by what its chat template writes.
    pub(crate) fn of(codec: &TextCodec) -> Self {
        let mentions = |marker| codec.template_mentions(marker);
        if mentions(HERMES.0) {
            Self::Hermes
        } else if mentions("[TOOL_CALLS]") {
            Self::Mistral
        } else if mentions("<|python_tag|>") || mentions("\"parameters\": ") {
            Self::Llama3
        } else {
            Self::Hermes
        }
    }

    /// A grammar that allows calls of `functions` only, `most` of them.
    pub(crate) fn grammar(self, functions: &[Function], most: usize) -> Grammar {
        let key = if self == Self::Llama3 { "parameters" } else { "arguments" };
        let calls: Vec<Value> = functions.iter().map(|function| function.call(key)).collect();
        let call = json!({ "anyOf": calls });
        match self {
            Self::Hermes => {
                let start = match most.saturating_sub(1) {
                    0 => "call".to_owned(),
                    more => format!("call (\"\\n\" call){{0,{more}}}"),
                };
                let (open, close) = HERMES;
                let call = bound_white_space(call);
                Grammar::Lark(format!(
                    "start: {start}\ncall: \"{open}\\n\" json \"\\n{close}\"\njson: %json {call}"
                ))
            }
            Self::Mistral => Grammar::JsonSchema(json!({
                "type": "array", "items": call, "minItems": 1, "maxItems": most,
            })),
            Self::Llama3 => Grammar::JsonSchema(call),
        }
    }
}

/// A function that may be called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The JSON Schema of its arguments.
    pub(crate) parameters: Value,
}

impl Function {
    fn call(&self, key: &str) -> Value {
        json!({
            "type": "object",
            "properties": { "name": { "const": self.name }, key: self.parameters },
            "required": ["name", key],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pelton_constrain::Compiler;

    use super::*;

    #[test]
    fn every_family_s_grammar_compiles_for_one_call_and_for_several() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/pelton-tiny");
        let codec = TextCodec::load(&model).unwrap();
        assert_eq!(ToolFormat::of(&codec), ToolFormat::Hermes);
        let compiler = Compiler::new(&codec, codec.vocab_size()).unwrap();
        let functions = ["find \"x\"", "stop"].map(|name| Function {
            name: name.to_owned(),
            parameters: json!({ "type": "object", "properties": { "id": { "type": "integer" } } }),
        });
        for format in [ToolFormat::Hermes, ToolFormat::Mistral, ToolFormat::Llama3] {
            for most in [1, 8] {
                compiler.compile(&format.grammar(&functions, most)).unwrap();
            }
        }
    }
}
