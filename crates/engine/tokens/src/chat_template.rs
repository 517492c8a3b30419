//! The Jinja template of a model, run as Hugging Face runs it and stopped when it runs too long.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::{Map, Value as Json};

use crate::{Message, TokensError, python_json};

/// Instructions that a template may execute per rendering. A real template needs a few dozen per
/// message; a hostile one would otherwise hold a request thread for good.
const FUEL: u64 = 2_000_000;
/// Further instructions allowed per byte of the messages, for templates that walk through the text.
const FUEL_PER_BYTE: u64 = 64;
const NAME: &str = "chat";

/// What a rendering depends on beside the messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateOptions<'a> {
    /// Whether the answer's head follows, so that the model goes on with its text.
    pub add_generation_prompt: bool,
    /// Tools that may be called, as OpenAI describes them.
    pub tools: Option<&'a Json>,
    /// Further variables that the template knows, such as `enable_thinking`; those above win.
    pub variables: Option<&'a Map<String, Json>>,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Compiles `source`; `bos_token` and `eos_token` are what the template sees under these names.
    ///
    /// # Errors
    /// [`TokensError::Malformed`] with the template's syntax error.
    pub fn compile(
        source: &str,
        bos_token: &str,
        eos_token: &str,
        path: &Path,
    ) -> Result<Self, TokensError> {
        let malformed = |error: Error| TokensError::Malformed {
            path: path.to_path_buf(),
            detail: format!("the chat template does not parse: {error}"),
        };
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(malformed)?;
        environment.set_syntax(syntax);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, source.to_owned()).map_err(malformed)?;
        Ok(Self { environment, bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned() })
    }

    /// Whether its source has `text` in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.environment.get_template(NAME).is_ok_and(|own| own.source().contains(text))
    }

    /// The source that it was compiled from.
    pub fn source(&self) -> String {
        self.environment
            .get_template(NAME)
            .map_or_else(|_| String::new(), |own| own.source().to_owned())
    }

    /// Renders a conversation to text.
    ///
    /// # Errors
    /// [`TokensError::TemplateRefused`] when the template raises, fails, or runs out of its budget.
    pub fn render(
        &self,
        messages: &[Message],
        options: TemplateOptions<'_>,
    ) -> Result<String, TokensError> {
        let TemplateOptions { add_generation_prompt, tools, variables } = options;
        let refused = |error: Error| TokensError::TemplateRefused { detail: explain(&error) };
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_BYTE * bytes as u64));
        let template = environment.get_template(NAME).map_err(refused)?;
        template
            .render(context! {
                messages => Value::from(Serde(messages)),
                tools => tools.map(|tools| Value::from(Serde(tools))),
                add_generation_prompt,
                bos_token => self.bos_token.as_str(),
                eos_token => self.eos_token.as_str(),
                ..variables.map_or_else(|| context! {}, |known| Value::from(Serde(known)))
            })
            .map_err(refused)
    }
}

fn explain(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it ran for too long and was stopped".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (_, None) => error.to_string(),
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn tojson(value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let _ensure_ascii: Option<bool> = arguments.get("ensure_ascii")?;
    let _sort_keys: Option<bool> = arguments.get("sort_keys")?;
    arguments.assert_all_used()?;
    python_json::dumps(&value, indent)
        .map(Value::from_safe_string)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}
