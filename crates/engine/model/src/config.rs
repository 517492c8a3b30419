//! `config.json` of a decoder of the families Llama, Mistral, Qwen 2 and Qwen 3, as Hugging Face writes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::rotary::Rotary;
use crate::{ModelError, Projection};

/// The numbers that decide a model's shape and arithmetic.
///
/// Fields that are not needed for arithmetic (token ids, versions) are kept in `other`, so that a
/// saved configuration has everything that the loaded one had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
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
    /// Base of the rotary frequencies, where `rope_parameters` has none.
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

/// The values of `model_type` that are computed.
const FAMILIES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

fn default_epsilon() -> f64 {
    1e-6
}

fn default_theta() -> f64 {
    10_000.0
}

fn default_positions() -> usize {
    2048
}

impl DecoderConfig {
    /// The shape of a Qwen2.5 model with tied embeddings, as its `config.json` tells it; benchmarks fill it with
    /// random weights. (896, 4,864, 24, 14) is the one with half a billion weights, (1,536, 8,960, 28, 12)
    /// the one with one and a half; both share two key-value heads.
    #[must_use]
    pub fn qwen2_5(
        hidden_size: usize,
        intermediate_size: usize,
        layers: usize,
        heads: usize,
    ) -> Self {
        let mut config = Self::small(151_936, hidden_size, intermediate_size, layers, heads, 2);
        config.head_dim = Some(hidden_size / heads);
        config.max_position_embeddings = 4_096;
        config.rope_theta = 1e6;
        config.rms_norm_eps = 1e-6;
        config.other.insert("model_type".to_owned(), "qwen2".into());
        config
    }

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

    /// This configuration as each family would have it, with everything in which the families differ: biases,
    /// head norms, windows of five tokens, each kind of rotary embedding. For tests of what computes them.
    #[must_use]
    pub fn in_every_family(&self) -> Vec<Self> {
        let llama3 = serde_json::json!({
            "rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        });
        let yarn = serde_json::json!({
            "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0,
            "original_max_position_embeddings": 16,
        });
        let linear =
            serde_json::json!({ "rope_type": "linear", "rope_theta": 100.0, "factor": 2.0 });
        let families = [
            serde_json::json!({ "model_type": "llama", "attention_bias": true, "mlp_bias": true, "rope_parameters": llama3 }),
            serde_json::json!({ "model_type": "mistral", "sliding_window": 5, "rope_parameters": linear }),
            serde_json::json!({ "model_type": "qwen2", "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 1 }),
            serde_json::json!({ "model_type": "qwen3", "attention_bias": true, "rope_parameters": yarn }),
        ];
        families
            .into_iter()
            .map(|family| {
                let mut config = self.clone();
                let family = family.as_object().into_iter().flatten();
                config.other.extend(family.map(|(key, value)| (key.clone(), value.clone())));
                config
            })
            .collect()
    }

    /// Reads and checks `folder/config.json`.
    ///
    /// # Errors
    /// When the file cannot be read, does not parse, or describes a model that this crate does not
    /// compute (other families, activations or rotary embeddings, weights quantized by others).
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::io("read", &path))?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        config.checked(&path)
    }

    /// This configuration, if it can be computed; `path` is where it comes from.
    pub(crate) fn checked(self, path: &Path) -> Result<Self, ModelError> {
        let mut config = self;
        if config.head_dim.is_none() && config.family() == "qwen3" {
            config.head_dim = Some(128);
        }
        config.refuse_unsupported(path)?;
        config.validate()?;
        Ok(config)
    }

    /// Base of the rotary frequencies.
    #[must_use]
    pub fn rotary_base(&self) -> f64 {
        let given = self.rope_parameters().and_then(|given| given.get("rope_theta"));
        given.and_then(serde_json::Value::as_f64).unwrap_or(self.rope_theta)
    }

    /// `rope_parameters`, or `rope_scaling` as it was called before.
    pub(crate) fn rope_parameters(&self) -> Option<&serde_json::Value> {
        let given = ["rope_parameters", "rope_scaling"].iter().find_map(|key| self.other.get(*key));
        given.filter(|given| !given.is_null())
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
        if self.rms_norm_eps.is_nan() || self.rms_norm_eps <= 0.0 {
            return Err(ModelError::InvalidConfig("rms_norm_eps must be positive".into()));
        }
        if (0..self.num_hidden_layers).any(|layer| self.window(layer) == Some(0)) {
            return Err(ModelError::InvalidConfig("sliding_window must be positive".into()));
        }
        self.rotary().map(drop)
    }

    /// The family: `llama` where the file does not say.
    #[must_use]
    pub fn family(&self) -> &str {
        self.text("model_type").unwrap_or("llama")
    }

    /// Whether a linear layer has a bias.
    #[must_use]
    pub fn has_bias(&self, projection: Projection) -> bool {
        use Projection::{Down, Gate, Key, Output, Query, Up, Value};
        match (self.family(), projection) {
            ("qwen2", Query | Key | Value) => true,
            ("qwen2" | "mistral", _) => false,
            (_, Query | Key | Value | Output) => self.flag("attention_bias"),
            (family, Gate | Up | Down) => family == "llama" && self.flag("mlp_bias"),
        }
    }

    /// Whether queries and keys are normed per head before they are rotated.
    #[must_use]
    pub fn norms_queries_and_keys(&self) -> bool {
        self.family() == "qwen3"
    }

    /// How many tokens a token of this layer sees, itself included; `None` for all before it.
    #[must_use]
    pub fn window(&self, layer: usize) -> Option<usize> {
        let number = |key| self.other.get(key).and_then(serde_json::Value::as_u64);
        let kinds = self.other.get("layer_types").and_then(serde_json::Value::as_array);
        let slides = match (kinds, self.family()) {
            (Some(kinds), _) => {
                kinds.get(layer).and_then(|kind| kind.as_str()) == Some("sliding_attention")
            }
            (None, "mistral") => true,
            (None, "qwen2" | "qwen3") => {
                let full = number("max_window_layers").unwrap_or(28);
                self.flag("use_sliding_window") && layer as u64 >= full
            }
            _ => false,
        };
        let width = match self.other.get("sliding_window") {
            // What the families' configurations have where the file says nothing.
            None => Some(4096),
            Some(given) => given.as_u64().map(|width| width as usize),
        };
        width.filter(|width| slides && *width < self.max_position_embeddings)
    }

    /// How queries and keys are rotated.
    ///
    /// # Errors
    /// Where the file asks for something unknown or incomplete.
    pub fn rotary(&self) -> Result<Rotary, ModelError> {
        Rotary::of(self)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.other.get(key).and_then(serde_json::Value::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.other.get(key).and_then(serde_json::Value::as_bool) == Some(true)
    }

    fn refuse_unsupported(&self, path: &Path) -> Result<(), ModelError> {
        let unsupported =
            |reason: String| Err(ModelError::Unsupported { path: path.to_owned(), reason });
        let family = self.family();
        if !FAMILIES.contains(&family) {
            return unsupported(format!(
                "model_type is {family:?}; {} are computed",
                FAMILIES.join(", ")
            ));
        }
        for flag in ["qkv_bias", "use_qk_norm", "qk_norm"] {
            if self.flag(flag) {
                return unsupported(format!("{flag} is set, but such weights are not computed"));
            }
        }
        if self.other.get("quantization_config").is_some_and(|given| !given.is_null()) {
            return unsupported("its weights are quantized; take the files that are not".into());
        }
        match self.text("hidden_act") {
            Some("silu" | "swish") | None => Ok(()),
            Some(act) => unsupported(format!("hidden_act is {act:?}, only \"silu\" is")),
        }
    }
}
