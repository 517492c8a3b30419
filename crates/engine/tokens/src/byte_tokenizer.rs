//! A tokenizer that needs no training: one token per byte, and the special tokens of the project's
//! chat format. Random-weight models in tests and benchmarks are built with it.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::TokensError;
use crate::token_bytes::byte_alphabet;

/// Special tokens in id order; the 256 bytes follow.
const SPECIAL: [&str; 7] =
    ["<pad>", "<bos>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"];

/// The project's chat format: `<bos>`, then a role token and a text per message, `<eos>` behind every
/// answer.
pub const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}\
<|{{ message.role }}|>{{ message.content }}\
{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}\
{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// Number of ids that [`write_byte_tokenizer`] makes.
pub const BYTE_VOCAB_SIZE: usize = SPECIAL.len() + 256;

/// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`.
///
/// # Errors
/// [`TokensError::Unreadable`] when a file cannot be written.
pub fn write_byte_tokenizer(folder: &Path) -> Result<(), TokensError> {
    let mut vocab = Map::new();
    for (id, token) in SPECIAL.iter().enumerate() {
        vocab.insert((*token).to_owned(), json!(id));
    }
    let mut alphabet = byte_alphabet();
    alphabet.sort_unstable_by_key(|entry| entry.1);
    for (id, (character, _)) in (SPECIAL.len()..).zip(alphabet) {
        vocab.insert(character.to_string(), json!(id));
    }
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                            "use_regex": true});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []}
    });
    let config = json!({"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>",
                        "chat_template": CHAT_TEMPLATE,
                        "tokenizer_class": "PreTrainedTokenizerFast"});
    for (name, value) in [("tokenizer.json", tokenizer), ("tokenizer_config.json", config)] {
        let path = folder.join(name);
        fs::write(&path, value.to_string())
            .map_err(|source| TokensError::Unreadable { path, source })?;
    }
    Ok(())
}
