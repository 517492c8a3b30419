//! What each token contributes to the text, in bytes.
//!
//! Decoding token by token through the tokenizer allocates, joins and re-scans; the serving loop
//! needs one lookup. Both encodings in use keep a token's bytes independent of its neighbors:
//! byte-level BPE maps each byte to a printable character, SentencePiece-style vocabularies write a
//! space as `▁` and unknown bytes as `<0xAB>`.

use serde_json::Value;
use tokenizers::Tokenizer;

/// Bytes of every token id; special tokens are empty.
#[derive(Debug, Clone)]
pub struct TokenBytes {
    bytes: Vec<Box<[u8]>>,
    strip_first_space: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    ByteLevel,
    Metaspace,
    Verbatim,
}

impl TokenBytes {
    /// Builds the table from a tokenizer and its own JSON.
    ///
    /// # Errors
    /// A sentence about the decoder when it is of a kind whose tokens have no bytes of their own.
    pub(crate) fn of(tokenizer: &Tokenizer, json: &Value) -> Result<Self, String> {
        let decoder = json.get("decoder").unwrap_or(&Value::Null);
        let spelling = spelling_of(decoder)?;
        let size = tokenizer.get_vocab_size(true);
        let added = tokenizer.get_added_tokens_decoder();
        let highest = added.keys().copied().max().map_or(0, |id| id as usize + 1);
        let alphabet = byte_alphabet();
        let bytes = (0..size.max(highest) as u32)
            .map(|id| match added.get(&id) {
                Some(token) if token.special => Box::default(),
                Some(token) => token.content.as_bytes().into(),
                None => tokenizer
                    .id_to_token(id)
                    .map(|token| spell(&token, spelling, &alphabet))
                    .unwrap_or_default(),
            })
            .collect();
        Ok(Self {
            bytes,
            strip_first_space: spelling == Spelling::Metaspace && strips_first_space(decoder),
        })
    }

    /// The bytes of one token; empty for special and unknown ids.
    pub fn get(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Whether one space at the start of a decoded text belongs to the encoding, not to the text.
    pub fn strips_first_space(&self) -> bool {
        self.strip_first_space
    }
}

fn kinds(decoder: &Value) -> Vec<&Value> {
    match decoder.get("decoders").and_then(Value::as_array) {
        Some(parts) => parts.iter().collect(),
        None => vec![decoder],
    }
}

fn kind_is(decoder: &Value, kind: &str) -> bool {
    decoder.get("type").and_then(Value::as_str) == Some(kind)
}

fn spelling_of(decoder: &Value) -> Result<Spelling, String> {
    if decoder.is_null() {
        return Ok(Spelling::Verbatim);
    }
    let parts = kinds(decoder);
    let has = |kind: &str| parts.iter().any(|part| kind_is(part, kind));
    if has("ByteLevel") {
        Ok(Spelling::ByteLevel)
    } else if has("ByteFallback") || has("Metaspace") {
        Ok(Spelling::Metaspace)
    } else if has("Fuse") {
        Ok(Spelling::Verbatim)
    } else {
        Err(format!(
            "its decoder `{}` is not supported; byte-level BPE and SentencePiece-style vocabularies are",
            decoder.get("type").and_then(Value::as_str).unwrap_or("?")
        ))
    }
}

fn strips_first_space(decoder: &Value) -> bool {
    kinds(decoder).iter().any(|part| {
        (kind_is(part, "Strip") && part.get("start").and_then(Value::as_u64) > Some(0))
            || (kind_is(part, "Metaspace")
                && part.get("prepend_scheme").and_then(Value::as_str) != Some("never"))
    })
}

fn spell(token: &str, spelling: Spelling, alphabet: &[(char, u8)]) -> Box<[u8]> {
    match spelling {
        Spelling::Verbatim => token.as_bytes().into(),
        Spelling::Metaspace => match byte_fallback(token) {
            Some(byte) => Box::new([byte]),
            None => token.replace('\u{2581}', " ").into_bytes().into(),
        },
        Spelling::ByteLevel => {
            let mut bytes = Vec::with_capacity(token.len());
            for character in token.chars() {
                match alphabet.binary_search_by_key(&character, |entry| entry.0) {
                    Ok(at) => bytes.push(alphabet[at].1),
                    Err(_) => {
                        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes())
                    }
                }
            }
            bytes.into()
        }
    }
}

fn byte_fallback(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// GPT-2's map from bytes to printable characters, sorted by character: printable Latin-1 stands for
/// itself, the other bytes for U+0100 and on, in order.
pub(crate) fn byte_alphabet() -> Vec<(char, u8)> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let shifted = (0..=255_u8).filter(|&byte| !printable(byte));
    let mut alphabet: Vec<(char, u8)> = (0..=255_u8)
        .filter(|&byte| printable(byte))
        .map(|byte| (char::from(byte), byte))
        .chain(
            (0x100_u32..)
                .zip(shifted)
                .filter_map(|(code, byte)| Some((char::from_u32(code)?, byte))),
        )
        .collect();
    alphabet.sort_unstable();
    alphabet
}
