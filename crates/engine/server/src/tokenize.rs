//! `POST /tokenize`, `POST /detokenize` and `GET /tokenizer_info`, in vLLM's shapes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use pelton_tokens::{Message, TemplateOptions};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat_body::read_json;
use crate::error::ApiError;
use crate::sampling_body::unsupported;
use crate::state::EngineState;

#[derive(Debug, Deserialize)]
struct TokenizeBody {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    /// Whether the tokenizer adds its own tokens: by default to a prompt, never to messages, whose
    /// template writes them.
    add_special_tokens: Option<bool>,
    #[serde(default = "yes")]
    add_generation_prompt: bool,
    #[serde(default)]
    continue_final_message: bool,
    chat_template: Option<Value>,
    tools: Option<Value>,
    chat_template_kwargs: Option<Map<String, Value>>,
    #[serde(default)]
    return_token_strs: bool,
}

#[derive(Debug, Deserialize)]
struct DetokenizeBody {
    model: Option<String>,
    tokens: Vec<u32>,
}

fn yes() -> bool {
    true
}

/// Encodes a prompt, or a conversation through the template.
pub(crate) async fn tokenize(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let body: TokenizeBody = read_json(body)?;
    check_model(&state, body.model.as_deref())?;
    let codec = state.shared.scheduler.codec();
    let tokens = match (&body.prompt, &body.messages) {
        (Some(prompt), None) => {
            codec.encode_with(prompt, body.add_special_tokens.unwrap_or(true))?
        }
        (None, Some(messages)) => {
            body.refuse_unsupported()?;
            {
                let options = TemplateOptions {
                    add_generation_prompt: body.add_generation_prompt,
                    tools: body.tools.as_ref(),
                    variables: body.chat_template_kwargs.as_ref(),
                };
                codec.apply(messages, options)?
            }
        }
        _ => {
            let message = "send either prompt or messages";
            return Err(ApiError::bad_request("invalid_value", Some("prompt"), message));
        }
    };
    let names: Option<Vec<String>> = body
        .return_token_strs
        .then(|| tokens.iter().map(|&id| codec.id_to_token(id).unwrap_or_default()).collect());
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": state.shared.scheduler.context_length(),
        "tokens": tokens,
        "token_strs": names,
    })))
}

impl TokenizeBody {
    /// What vLLM knows of conversations and this engine does not.
    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let given = [
            ("add_special_tokens", self.add_special_tokens == Some(true)),
            ("continue_final_message", self.continue_final_message),
            ("chat_template", self.chat_template.as_ref().is_some_and(|own| !own.is_null())),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!(
                    "{name} is not supported here; render the text yourself and send it as prompt"
                );
                Err(unsupported(name, &message))
            }
        }
    }
}

/// A model is not needed, but one that is named must be there.
fn check_model(state: &EngineState, model: Option<&str>) -> Result<(), ApiError> {
    model.map_or(Ok(()), |model| state.adapter_of(model).map(drop))
}

/// Decodes tokens to text; special tokens leave nothing.
pub(crate) async fn detokenize(
    State(state): State<EngineState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let DetokenizeBody { model, tokens } = read_json(body)?;
    check_model(&state, model.as_deref())?;
    Ok(Json(json!({"prompt": state.shared.scheduler.codec().decode(&tokens)})))
}

/// The tokenizer's configuration: the members of `tokenizer_config.json`, the class of a tokenizer
/// that names none, and the chat template wherever it was found.
pub(crate) async fn tokenizer_info(State(state): State<EngineState>) -> Json<Value> {
    let codec = state.shared.scheduler.codec();
    let mut info = codec.config().as_object().cloned().unwrap_or_default();
    info.entry("tokenizer_class").or_insert_with(|| json!("PreTrainedTokenizerFast"));
    info.insert("chat_template".to_owned(), json!(codec.chat_template()));
    Json(Value::Object(info))
}
