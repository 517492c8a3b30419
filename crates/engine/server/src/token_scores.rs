//! The `logprobs` object of OpenAI's older dialect: four lists, one entry per token.

use pelton_scheduler::TokenLogprob;
use pelton_tokens::TextCodec;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Scores of a row of tokens.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TokenScores {
    tokens: Vec<String>,
    /// `None` for the first token of a prompt, which nothing predicts.
    token_logprobs: Vec<Option<f32>>,
    /// The likeliest tokens, and always the one that is there.
    top_logprobs: Vec<Option<Map<String, Value>>>,
    /// Where each token begins in the choice's text, in characters.
    text_offset: Vec<usize>,
}

impl TokenScores {
    /// Scores of a prompt, whose text is `text`: `scored` are those of its tokens but the first.
    pub(crate) fn of_prompt(
        text: &str,
        tokens: &[u32],
        scored: &[TokenLogprob],
        codec: &TextCodec,
    ) -> Self {
        let mut scores = Self::default();
        let mut cursor = Cursor { text: text.as_bytes(), at: 0, characters: 0 };
        for (index, &token) in tokens.iter().enumerate() {
            let entry = index.checked_sub(1).and_then(|index| scored.get(index));
            scores.push(token, entry, cursor.characters, codec);
            cursor.pass(token, codec);
        }
        scores
    }

    /// Adds generated tokens; `offset` is where the first begins, and is moved behind the last.
    pub(crate) fn add_generated(
        &mut self,
        generated: &[TokenLogprob],
        offset: &mut usize,
        codec: &TextCodec,
    ) {
        for entry in generated {
            self.push(entry.token, Some(entry), *offset, codec);
            *offset += characters(codec.token_bytes().get(entry.token));
        }
    }

    fn push(&mut self, token: u32, entry: Option<&TokenLogprob>, offset: usize, codec: &TextCodec) {
        self.tokens.push(spelled(token, codec));
        self.token_logprobs.push(entry.map(|entry| finite(entry.logprob)));
        self.top_logprobs.push(entry.map(|entry| {
            let own = (entry.token, entry.logprob);
            let mut top = Map::new();
            for (token, logprob) in entry.top.iter().copied().chain([own]) {
                // Of two tokens with one spelling the likelier stays.
                top.entry(spelled(token, codec)).or_insert_with(|| json!(finite(logprob)));
            }
            top
        }));
        self.text_offset.push(offset);
    }
}

/// JSON has no infinity; no probability that matters is this low.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// A token as text: its name where it has no text, `bytes:\xe2\x82` where it is not whole
/// characters, as in OpenAI's answers.
fn spelled(token: u32, codec: &TextCodec) -> String {
    let bytes = codec.token_bytes().get(token);
    match std::str::from_utf8(bytes) {
        Ok("") => codec.id_to_token(token).unwrap_or_default(),
        Ok(text) => text.to_owned(),
        Err(_) => {
            let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("bytes:{escaped}")
        }
    }
}

/// Characters that begin in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// Follows the tokens of a prompt through its text.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    characters: usize,
}

impl Cursor<'_> {
    fn pass(&mut self, token: u32, codec: &TextCodec) {
        let rest = &self.text[self.at..];
        let bytes = codec.token_bytes().get(token);
        let length = if bytes.is_empty() {
            // A special token that the tokenizer added is not in the text.
            let name = codec.id_to_token(token).unwrap_or_default();
            if rest.starts_with(name.as_bytes()) { name.len() } else { 0 }
        } else if let (false, Some(unspaced)) = (rest.starts_with(bytes), bytes.strip_prefix(b" "))
            && rest.starts_with(unspaced)
        {
            // The encoding put a space before the text.
            unspaced.len()
        } else {
            bytes.len().min(rest.len())
        };
        self.characters += characters(&rest[..length]);
        self.at += length;
    }
}
