//! Everything between a conversation and token ids, loaded from one model folder.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::guarded_messages::GuardedMessages;
use crate::{ChatTemplate, Message, TemplateOptions, TokenBytes, TokensError};

/// Tokenizer, chat template and end-of-text ids of a model.
#[derive(Debug)]
pub struct TextCodec {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    config: Value,
    bytes: TokenBytes,
    special: Vec<String>,
    eos: Vec<u32>,
    vocab_size: usize,
}

/// A training example: a prompt and its answer as the serving engine would see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedExample {
    /// Prompt tokens, then answer tokens, then the end token.
    pub tokens: Vec<u32>,
    /// Per token, whether the model is to learn to produce it (answer and end token).
    pub is_answer: Vec<bool>,
}

impl TextCodec {
    /// Loads `tokenizer.json` and, where present, `tokenizer_config.json`, `chat_template.jinja`,
    /// `generation_config.json` and `config.json` (for the end-of-text ids).
    ///
    /// # Errors
    /// [`TokensError::Unreadable`] or [`TokensError::Malformed`], both with the path.
    pub fn load(folder: &Path) -> Result<Self, TokensError> {
        let path = folder.join("tokenizer.json");
        let json = read_json(&path)?;
        let config = optional_json(&folder.join("tokenizer_config.json"))?;
        let bos = token_text(&config, "bos_token");
        let eos = token_text(&config, "eos_token");
        let (source, template_path) = template_source(folder, &config)?.unzip();
        let ids = end_ids(folder)?;
        let template_path = template_path.as_ref().unwrap_or(&path);
        let mut codec = Self::assemble(&json, &path, &bos, &eos, None, ids)?;
        codec.template = source
            .map(|source| ChatTemplate::compile(&source, &bos, &eos, template_path))
            .transpose()?;
        codec.config = config;
        Ok(codec)
    }

    /// From the parts of a tokenizer: `json` is what `tokenizer.json` has, `eos` is spelled out and comes
    /// before `ends`; `path` is where they come from.
    pub(crate) fn assemble(
        json: &Value,
        path: &Path,
        bos: &str,
        eos: &str,
        template: Option<&str>,
        ends: Vec<u32>,
    ) -> Result<Self, TokensError> {
        let malformed = |detail: String| TokensError::Malformed { path: path.to_owned(), detail };
        let text = json.to_string();
        let tokenizer =
            Tokenizer::from_bytes(text.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        let bytes = TokenBytes::of(&tokenizer, json).map_err(malformed)?;
        let template =
            template.map(|source| ChatTemplate::compile(source, bos, eos, path)).transpose()?;
        let mut eos: Vec<u32> = tokenizer.token_to_id(eos).into_iter().collect();
        for id in ends {
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        let vocab_size = tokenizer.get_vocab_size(true);
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.into_values().filter(|token| token.special);
        Ok(Self {
            special: special.map(|token| token.content).collect(),
            tokenizer,
            template,
            config: Value::Null,
            bytes,
            eos,
            vocab_size,
        })
    }

    /// Number of token ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Ids that end a text.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Bytes of every token, for incremental decoding.
    pub fn token_bytes(&self) -> &TokenBytes {
        &self.bytes
    }

    /// The spelling of a token in the vocabulary.
    pub fn id_to_token(&self, token: u32) -> Option<String> {
        self.tokenizer.id_to_token(token)
    }

    /// What `tokenizer_config.json` says, null without one.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The source of the chat template.
    pub fn chat_template(&self) -> Option<String> {
        self.template.as_ref().map(ChatTemplate::source)
    }

    /// The id of a token by its spelling in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Whether messages can be rendered.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// Whether the chat template's source has `text` in it: families write their markers there.
    pub fn template_mentions(&self, text: &str) -> bool {
        self.template.as_ref().is_some_and(|template| template.mentions(text))
    }

    /// Encodes text as it stands: no tokens are added, special tokens in it are recognized.
    ///
    /// # Errors
    /// [`TokensError::Encode`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokensError> {
        self.encode_with(text, false)
    }

    /// Encodes text; with `add_special_tokens` the tokenizer adds what its post-processor says, such
    /// as a first token.
    ///
    /// # Errors
    /// [`TokensError::Encode`].
    pub fn encode_with(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Vec<u32>, TokensError> {
        self.tokenizer
            .encode_fast(text, add_special_tokens)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| TokensError::Encode { detail: error.to_string() })
    }

    /// Decodes tokens to text; special tokens leave nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut text = String::new();
        let mut state = crate::Detokenizer::default();
        for &token in tokens {
            state.push(&self.bytes, token, &mut text);
        }
        state.finish(&mut text);
        text
    }

    /// Renders a conversation through the chat template.
    ///
    /// # Errors
    /// [`TokensError::NoChatTemplate`], [`TokensError::TemplateRefused`].
    pub fn render(
        &self,
        messages: &[Message],
        options: TemplateOptions<'_>,
    ) -> Result<String, TokensError> {
        let template = self.template.as_ref().ok_or(TokensError::NoChatTemplate)?;
        template.render(messages, options)
    }

    /// Renders a conversation and encodes it. What users and tools wrote stays text: a special token
    /// that is spelled out in their messages is encoded as its letters, so that nobody can forge a
    /// turn of the conversation.
    ///
    /// # Errors
    /// As [`TextCodec::render`] and [`TextCodec::encode`].
    pub fn apply(
        &self,
        messages: &[Message],
        options: TemplateOptions<'_>,
    ) -> Result<Vec<u32>, TokensError> {
        let guarded = GuardedMessages::new(messages, &self.special);
        let text = self.render(&guarded.messages, options)?;
        self.encode_guarded(&text, guarded.mark)
    }

    /// Encodes a rendered text, of which no token may span a mark.
    fn encode_guarded(&self, text: &str, mark: Option<char>) -> Result<Vec<u32>, TokensError> {
        let Some(mark) = mark else { return self.encode(text) };
        let mut tokens = Vec::new();
        for piece in text.split(mark) {
            tokens.extend(self.encode(piece)?);
        }
        Ok(tokens)
    }

    /// Renders a conversation with its answer for training. The prompt's tokens are exactly those
    /// that [`TextCodec::apply`] gives for serving, and the answer is encoded apart, as generation
    /// would produce it; it ends with the first end token.
    ///
    /// # Errors
    /// As [`TextCodec::apply`]; [`TokensError::TemplateRefused`] when the template does not put the
    /// answer behind the generation prompt.
    pub fn render_example(
        &self,
        messages: &[Message],
        answer: &str,
    ) -> Result<RenderedExample, TokensError> {
        let guarded = GuardedMessages::new(messages, &self.special);
        let asks = TemplateOptions { add_generation_prompt: true, ..TemplateOptions::default() };
        let prompt = self.render(&guarded.messages, asks)?;
        let mut conversation = guarded.messages.to_vec();
        conversation.push(Message::new("assistant", answer));
        let whole = self.render(&conversation, TemplateOptions::default())?;
        let answer = whole.strip_prefix(&prompt).ok_or_else(|| TokensError::TemplateRefused {
            detail: "the conversation with its answer does not begin with the generation prompt"
                .to_owned(),
        })?;
        let mut tokens = self.encode_guarded(&prompt, guarded.mark)?;
        let prompt_length = tokens.len();
        let mut ending = self.encode(answer)?;
        match ending.iter().position(|token| self.eos.contains(token)) {
            Some(at) => ending.truncate(at + 1),
            None => ending.extend(self.eos.first()),
        }
        tokens.extend(ending);
        let is_answer = (0..tokens.len()).map(|at| at >= prompt_length).collect();
        Ok(RenderedExample { tokens, is_answer })
    }
}

pub(crate) fn optional_json(path: &Path) -> Result<Value, TokensError> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| TokensError::Malformed {
            path: path.to_path_buf(),
            detail: error.to_string(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(source) => Err(TokensError::Unreadable { path: path.to_path_buf(), source }),
    }
}

/// A special token is written as a string or as an object with `content`.
pub(crate) fn token_text(config: &Value, name: &str) -> String {
    let value = config.get(name).unwrap_or(&Value::Null);
    value
        .as_str()
        .or_else(|| value.get("content").and_then(Value::as_str))
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn template_source(
    folder: &Path,
    config: &Value,
) -> Result<Option<(String, std::path::PathBuf)>, TokensError> {
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        let source = fs::read_to_string(&file)
            .map_err(|source| TokensError::Unreadable { path: file.clone(), source })?;
        return Ok(Some((source, file)));
    }
    let path = folder.join("tokenizer_config.json");
    let source = match config.get("chat_template") {
        Some(Value::String(source)) => Some(source.clone()),
        // Several named templates: the one called "default" is for plain chat.
        Some(Value::Array(named)) => named
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|entry| entry.get("template").and_then(Value::as_str))
            .map(str::to_owned),
        _ => None,
    };
    Ok(source.map(|source| (source, path)))
}

fn end_ids(folder: &Path) -> Result<Vec<u32>, TokensError> {
    let mut ids = Vec::new();
    for file in ["generation_config.json", "config.json"] {
        let config = optional_json(&folder.join(file))?;
        let listed = match config.get("eos_token_id") {
            Some(Value::Array(several)) => several.clone(),
            Some(single) => vec![single.clone()],
            None => Vec::new(),
        };
        ids.extend(listed.iter().filter_map(Value::as_u64).map(|id| id as u32));
    }
    Ok(ids)
}

/// Reads a file that must be there.
pub(crate) fn read_json(path: &Path) -> Result<Value, TokensError> {
    let text = fs::read_to_string(path)
        .map_err(|source| TokensError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|error| TokensError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}
