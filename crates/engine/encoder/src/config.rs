//! `config.json` of an encoder of the families BERT, RoBERTa and XLM-RoBERTa.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use pelton_model::ModelError;

use crate::EncoderError;

/// The numbers that decide an encoder's shape and arithmetic, with Hugging Face's defaults.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EncoderConfig {
    pub(crate) model_type: String,
    #[serde(default)]
    pub(crate) architectures: Vec<String>,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    pub(crate) max_position_embeddings: usize,
    #[serde(default = "two")]
    pub(crate) type_vocab_size: usize,
    #[serde(default = "epsilon")]
    pub(crate) layer_norm_eps: f64,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    /// Everything else.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn two() -> usize {
    2
}

fn epsilon() -> f64 {
    1e-12
}

/// The families that are computed.
pub(crate) const FAMILIES: [&str; 3] = ["bert", "roberta", "xlm-roberta"];

/// Reads a JSON file of a model folder.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EncoderError> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let parsed = serde_json::from_str(&text);
    Ok(parsed.map_err(|source| ModelError::Json { path: path.to_owned(), source })?)
}

impl EncoderConfig {
    /// Reads and checks `folder/config.json`.
    pub(crate) fn load(folder: &Path) -> Result<Self, EncoderError> {
        let path = folder.join("config.json");
        let config: Self = read_json(&path)?;
        config.check().map_err(|reason| EncoderError::Unsupported { path, reason })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if !FAMILIES.contains(&self.model_type.as_str()) {
            let known = FAMILIES.join(", ");
            return Err(format!("model_type is {:?}; {known} are computed", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return Err(format!("hidden_act is {:?}, only \"gelu\" is computed", self.hidden_act));
        }
        if self.position_embedding_type != "absolute" {
            return Err("its positions are not absolute; only such are computed".to_owned());
        }
        for flag in ["is_decoder", "add_cross_attention"] {
            if self.other.get(flag) == Some(&Value::Bool(true)) {
                return Err(format!("{flag} is set, but it must be an encoder"));
            }
        }
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return Err(format!("{name} is {value}, but must be between 1 and 16777216"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err("hidden_size must be a multiple of num_attention_heads".to_owned());
        }
        if self.first_position() >= self.max_position_embeddings {
            return Err("pad_token_id leaves no positions".to_owned());
        }
        Ok(())
    }

    /// The row of the position table for the first token: RoBERTa's rows up to the padding's are
    /// never used.
    pub(crate) fn first_position(&self) -> usize {
        if self.model_type == "bert" { 0 } else { self.pad_token_id.unwrap_or(1) + 1 }
    }

    /// Longest sequence, in tokens.
    pub(crate) fn max_tokens(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }

    /// The prefix of the body's tensors in files of models with a head.
    pub(crate) fn prefix(&self) -> &'static str {
        if self.model_type == "bert" { "bert." } else { "roberta." }
    }

    /// Whether there is a classifier over pairs of texts.
    pub(crate) fn classifies(&self) -> bool {
        self.architectures.iter().any(|name| name.ends_with("ForSequenceClassification"))
    }

    /// Labels of the classifier, as Hugging Face counts them.
    pub(crate) fn labels(&self) -> usize {
        match self.other.get("id2label") {
            Some(Value::Object(labels)) => labels.len(),
            _ => self.other.get("num_labels").and_then(Value::as_u64).unwrap_or(2) as usize,
        }
    }
}
