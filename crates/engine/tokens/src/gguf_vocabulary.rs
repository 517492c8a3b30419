//! The vocabulary of a GGUF file: byte-level BPE with the pre-tokenizers that llama.cpp knows by name.
//!
//! llama.cpp has the splitting rules in its code (`llama-vocab.cpp`), and files have but their names. The
//! rules here are those of the tokenizers that the names stand for.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::text_codec::{optional_json, read_json, template_source, token_text};
use crate::{TextCodec, TokensError};

/// What `tokenizer.ggml.*` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GgufVocabulary {
    /// `tokens`, by id, in the letters of byte-level BPE.
    pub tokens: Vec<String>,
    /// `token_type`, by id: [`NORMAL`], [`CONTROL`], [`USER_DEFINED`] or [`UNUSED`].
    pub kinds: Vec<i64>,
    /// `merges`, two tokens with a space between, first come first served.
    pub merges: Vec<String>,
    /// `pre`, the name of the pre-tokenizer.
    pub pre: String,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id` and `eot_token_id`.
    pub eos: Vec<u32>,
    /// `add_bos_token`.
    pub add_bos: bool,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// `tokenizer.huggingface.json`, the whole `tokenizer.json`: for tokenizers that llama.cpp has no name
    /// for. Tokens, merges and the pre-tokenizer are empty then.
    pub hugging_face: Option<String>,
}

/// A piece of text.
pub const NORMAL: i64 = 1;
/// A token that is no text.
pub const CONTROL: i64 = 3;
/// A text that is never cut.
pub const USER_DEFINED: i64 = 4;
/// A row of the embedding that no token has.
pub const UNUSED: i64 = 5;

/// Letters with one other character before, digits `\p{N}…`, other characters, line ends, spaces.
const CL100K: [&str; 2] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// Name and rule of every pre-tokenizer that is known.
fn pre_tokenizers() -> [(&'static str, Value); 4] {
    let split = |digits: &str| {
        let regex = format!("{}{digits}{}", CL100K[0], CL100K[1]);
        let split = json!({
            "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false,
        });
        json!({ "type": "Sequence", "pretokenizers": [split, byte_level(false)] })
    };
    let digits = json!({ "type": "Digits", "individual_digits": true });
    [
        ("gpt-2", byte_level(true)),
        ("qwen2", split(r"\p{N}")),
        ("llama-bpe", split(r"\p{N}{1,3}")),
        ("smollm", json!({ "type": "Sequence", "pretokenizers": [digits, byte_level(true)] })),
    ]
}

fn byte_level(use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex,
    })
}

/// A rule without what does not change tokens.
fn essence(rule: &Value) -> Value {
    match rule {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| *key != "trim_offsets");
            Value::Object(kept.map(|(key, value)| (key.clone(), essence(value))).collect())
        }
        Value::Array(parts) => Value::Array(parts.iter().map(essence).collect()),
        other => other.clone(),
    }
}

impl GgufVocabulary {
    /// The vocabulary of a model folder, for a model of `rows` token rows.
    ///
    /// # Errors
    /// [`TokensError`] where the tokenizer is unreadable or has more tokens.
    pub fn of_folder(folder: &Path, rows: usize) -> Result<Self, TokensError> {
        let path = folder.join("tokenizer.json");
        let json = read_json(&path)?;
        let refuse = |detail: String| TokensError::Malformed { path: path.clone(), detail };
        let model = &json["model"];
        let config = optional_json(&folder.join("tokenizer_config.json"))?;
        let codec = TextCodec::load(folder)?;
        let bos = token_text(&config, "bos_token");
        let common = Self {
            bos: codec.token_to_id(&bos),
            eos: codec.eos().iter().copied().take(2).collect(),
            add_bos: config["add_bos_token"] == true,
            chat_template: template_source(folder, &config)?.map(|(source, _)| source),
            ..Self::default()
        };
        let rule = essence(&json["pre_tokenizer"]);
        let named = pre_tokenizers().into_iter().find(|(_, known)| essence(known) == rule);
        let byte_level = model["type"] == "BPE" && json["decoder"]["type"] == "ByteLevel";
        let Some((pre, _)) = named.filter(|_| byte_level) else {
            return Ok(Self { hugging_face: Some(json.to_string()), ..common });
        };
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let mut kinds = vec![UNUSED; rows];
        let mut put = |token: &str, id: Option<u64>, kind: i64| {
            let place = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < rows);
            let id = place.ok_or_else(|| {
                refuse(format!("token {token:?} has no row among the model's {rows}"))
            })?;
            token.clone_into(&mut tokens[id]);
            kinds[id] = kind;
            Ok::<_, TokensError>(())
        };
        for (token, id) in model["vocab"].as_object().into_iter().flatten() {
            put(token, id.as_u64(), NORMAL)?;
        }
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let kind = if added["special"] == true { CONTROL } else { USER_DEFINED };
            put(added["content"].as_str().unwrap_or_default(), added["id"].as_u64(), kind)?;
        }
        let merges = model["merges"].as_array().into_iter().flatten().map(|merge| match merge {
            Value::Array(two) => two.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            merge => merge.as_str().unwrap_or_default().to_owned(),
        });
        Ok(Self { merges: merges.collect(), pre: pre.to_owned(), tokens, kinds, ..common })
    }

    /// The tokenizer and template; `path` is where the vocabulary comes from.
    ///
    /// # Errors
    /// [`TokensError`] where the pre-tokenizer is unknown, or the vocabulary makes no tokenizer.
    pub fn codec(&self, path: &Path) -> Result<TextCodec, TokensError> {
        let refuse = |detail: String| TokensError::Malformed { path: path.to_owned(), detail };
        if let Some(text) = &self.hugging_face {
            let json: Value = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
            let content = |id: u32| {
                let added = json["added_tokens"].as_array().into_iter().flatten();
                let mut found = added.filter(|token| token["id"] == id);
                found.next().and_then(|token| token["content"].as_str()).unwrap_or_default()
            };
            let bos = self.bos.map(content).unwrap_or_default();
            let eos = self.eos.first().copied().map(content).unwrap_or_default();
            let template = self.chat_template.as_deref();
            return TextCodec::assemble(&json, path, bos, eos, template, self.eos.clone());
        }
        let known = pre_tokenizers();
        let rule = known.iter().find(|(name, _)| *name == self.pre);
        let Some((pre, rule)) = rule else {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Err(refuse(format!(
                "its pre-tokenizer is {:?}, only {} are known; put the model's tokenizer.json beside the file",
                self.pre,
                names.join(", ")
            )));
        };
        if self.kinds.len() != self.tokens.len() {
            return Err(refuse("tokenizer.ggml.token_type and tokens differ in length".into()));
        }
        let (mut vocab, mut added) = (Map::new(), Vec::new());
        let mut ids = HashMap::new();
        for ((id, token), kind) in self.tokens.iter().enumerate().zip(&self.kinds) {
            if *kind == UNUSED {
                continue;
            }
            if ids.insert(token, id).is_some() {
                return Err(refuse(format!("token {token:?} is there twice")));
            }
            if matches!(*kind, CONTROL | USER_DEFINED) {
                added.push(json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": *kind == CONTROL,
                }));
            }
            vocab.insert(token.clone(), json!(id));
        }
        let mut merges = Vec::with_capacity(self.merges.len());
        for merge in &self.merges {
            let Some((left, right)) = merge.split_once(' ') else {
                return Err(refuse(format!("merge {merge:?} is no two tokens")));
            };
            merges.push(json!([left, right]));
        }
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": if *pre == "qwen2" { json!({ "type": "NFC" }) } else { Value::Null },
            "pre_tokenizer": rule, "post_processor": null, "decoder": byte_level(true),
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": *pre == "llama-bpe", "vocab": vocab, "merges": merges,
            },
        });
        let spelled = |id: Option<u32>| {
            id.and_then(|id| self.tokens.get(id as usize)).cloned().unwrap_or_default()
        };
        let (bos, eos) = (spelled(self.bos), spelled(self.eos.first().copied()));
        TextCodec::assemble(
            &json,
            path,
            &bos,
            &eos,
            self.chat_template.as_deref(),
            self.eos.clone(),
        )
    }
}
