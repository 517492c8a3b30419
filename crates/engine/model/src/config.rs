//! `config.json` of a Llama-style model, as Hugging Face writes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The numbers that decide a model's shape and arithmetic.
///
/// Fields that are not needed for arithmetic (token ids, versions) are kept in `other`, so that a
/// saved configuration has everything that the loaded one had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; `hidden_size / num_attention_heads` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Added to the mean square before the root.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "default_theta")]
    pub rope_theta: f64,
    /// Whether the output head is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Longest sequence that the model was made for, in tokens.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Everything else in the file.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_theta() -> f64 {
    10_000.0
}

fn default_positions() -> usize {
    2048
}

impl LlamaConfig {
    /// A configuration with tied embeddings and the usual constants.
    ///
    /// `head_dim` is 32, as kernels elsewhere expect at least that.
    #[must_use]
    pub fn small(
        vocab_size: usize,
        hidden_size: usize,
        intermediate_size: usize,
        layers: usize,
        heads: usize,
        kv_heads: usize,
    ) -> Self {
        let other = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "torch_dtype": "float32",
        });
        Self {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: Some(kv_heads),
            head_dim: Some(32),
            rms_norm_eps: 1e-5,
            rope_theta: default_theta(),
            tie_word_embeddings: true,
            max_position_embeddings: 1024,
            other: match other {
                serde_json::Value::Object(map) => map,
                _ => serde_json::Map::new(),
            },
        }
    }

    /// Reads and checks `folder/config.json`.
    ///
    /// # Errors
    /// When the file cannot be read, does not parse, or describes a model that this crate does not
    /// compute (other architectures, biases, query-key norm, scaled rotary embeddings).
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::io("read", &path))?;
        let mut config: Self = serde_json::from_str(&text)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        if let Some(theta) =
            config.other.get("rope_parameters").and_then(|rope| rope.get("rope_theta"))
        {
            config.rope_theta = theta.as_f64().unwrap_or(config.rope_theta);
        }
        config.refuse_unsupported(&path)?;
        config.validate()?;
        Ok(config)
    }

    /// Key and value heads.
    #[must_use]
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    #[must_use]
    pub fn head_size(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Width of all query heads.
    #[must_use]
    pub fn query_size(&self) -> usize {
        self.num_attention_heads * self.head_size()
    }

    /// Width of all key heads (and of all value heads).
    #[must_use]
    pub fn kv_size(&self) -> usize {
        self.kv_heads() * self.head_size()
    }

    /// The end-of-sequence token ids that the file names, one or a list.
    #[must_use]
    pub fn eos_token_ids(&self) -> Vec<u32> {
        let as_id = |value: &serde_json::Value| value.as_u64().and_then(|id| id.try_into().ok());
        match self.other.get("eos_token_id") {
            Some(serde_json::Value::Array(ids)) => ids.iter().filter_map(as_id).collect(),
            Some(id) => as_id(id).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Refuses numbers that cannot describe a model.
    ///
    /// # Errors
    /// Says which number, and what it must be.
    pub fn validate(&self) -> Result<(), ModelError> {
        let named = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("head_dim", self.head_size()),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (name, value) in named {
            if value == 0 || value > 1 << 24 {
                return Err(ModelError::InvalidConfig(format!(
                    "{name} is {value}, but must be between 1 and 16777216"
                )));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) {
            return Err(ModelError::InvalidConfig(format!(
                "num_attention_heads ({}) must be a multiple of num_key_value_heads ({})",
                self.num_attention_heads,
                self.kv_heads()
            )));
        }
        if !self.head_size().is_multiple_of(2) {
            return Err(ModelError::InvalidConfig(format!(
                "head_dim is {}, but rotary embeddings need an even number",
                self.head_size()
            )));
        }
        if !(self.rms_norm_eps > 0.0 && self.rope_theta > 0.0) {
            return Err(ModelError::InvalidConfig(
                "rms_norm_eps and rope_theta must be positive".into(),
            ));
        }
        Ok(())
    }

    fn refuse_unsupported(&self, path: &Path) -> Result<(), ModelError> {
        let unsupported =
            |reason: String| Err(ModelError::Unsupported { path: path.to_owned(), reason });
        match self.other.get("model_type").and_then(|kind| kind.as_str()) {
            Some("llama") | None => {}
            Some(kind) => {
                return unsupported(format!("model_type is {kind:?}, only \"llama\" is computed"));
            }
        }
        for flag in ["attention_bias", "mlp_bias", "qkv_bias", "use_qk_norm", "qk_norm"] {
            if self.other.get(flag).and_then(serde_json::Value::as_bool) == Some(true) {
                return unsupported(format!("{flag} is set, but such weights are not computed"));
            }
        }
        match self.other.get("hidden_act").and_then(|act| act.as_str()) {
            Some("silu" | "swish") | None => {}
            Some(act) => return unsupported(format!("hidden_act is {act:?}, only \"silu\" is")),
        }
        for key in ["rope_scaling", "rope_parameters"] {
            let kind = self.other.get(key).and_then(|rope| {
                rope.get("rope_type").or_else(|| rope.get("type")).and_then(|kind| kind.as_str())
            });
            if let Some(kind) = kind.filter(|kind| *kind != "default") {
                return unsupported(format!("rotary embeddings of type {kind:?} are not computed"));
            }
        }
        Ok(())
    }
}
