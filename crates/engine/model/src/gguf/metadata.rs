//! A configuration as GGUF's metadata, and back.

use serde_json::{Map, Value, json};

use super::{GgufFile, GgufValue};
use crate::{DecoderConfig, ModelError};

/// The architectures that are read and written.
const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

impl GgufFile {
    /// The architecture, if it is one that is computed.
    pub(super) fn architecture(&self) -> Result<&str, ModelError> {
        let found = self.text("general.architecture").unwrap_or("none");
        if ARCHITECTURES.contains(&found) {
            return Ok(found);
        }
        Err(self.unsupported(format!(
            "its architecture is {found:?}; {} are computed",
            ARCHITECTURES.join(", ")
        )))
    }

    /// A text of the metadata.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(GgufValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer of the metadata that is not negative.
    #[must_use]
    pub fn count(&self, key: &str) -> Option<usize> {
        match self.value(key) {
            Some(GgufValue::Integer(value)) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.value(key) {
            Some(GgufValue::Float(value)) => Some(*value),
            Some(GgufValue::Integer(value)) => Some(*value as f64),
            _ => None,
        }
    }

    fn unsupported(&self, reason: String) -> ModelError {
        ModelError::Unsupported { path: self.path().to_owned(), reason }
    }

    /// The configuration that the metadata and the tensors' shapes describe.
    pub(super) fn config(&self) -> Result<DecoderConfig, ModelError> {
        let architecture = self.architecture()?;
        if self.text("general.type") == Some("adapter") {
            return Err(self.unsupported("it is an adapter; name the model that it is for".into()));
        }
        let key = |name: &str| format!("{architecture}.{name}");
        let needed = |name: &str| {
            self.count(&key(name)).ok_or_else(|| ModelError::BrokenTensors {
                path: self.path().to_owned(),
                reason: format!("its metadata has no number {}", key(name)),
            })
        };
        let layers = needed("block_count")?;
        if layers > self.tensor_count() {
            // Layouts and names are made for every layer that is claimed.
            return Err(ModelError::BrokenTensors {
                path: self.path().to_owned(),
                reason: format!("it claims {layers} layers, but has not as many tensors"),
            });
        }
        let heads = needed("attention.head_count")?;
        let hidden = needed("embedding_length")?;
        let head = match self.count(&key("attention.key_length")) {
            Some(head) => head,
            None => hidden / heads.max(1),
        };
        for name in ["attention.value_length", "rope.dimension_count"] {
            if self.count(&key(name)).is_some_and(|found| found != head) {
                return Err(self.unsupported(format!("{} is not the heads' width", key(name))));
            }
        }
        if self.count(&key("expert_count")).is_some_and(|experts| experts > 0) {
            return Err(self.unsupported("it is a mixture of experts".into()));
        }
        let embedding = self.tensor("token_embd.weight").map(|tensor| tensor.shape.clone());
        let vocabulary = embedding.and_then(|shape| shape.first().copied()).unwrap_or(0);
        let mut config = json!({
            "model_type": architecture,
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": needed("feed_forward_length")?,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": self.count(&key("attention.head_count_kv")).unwrap_or(heads),
            "head_dim": head,
            "hidden_act": "silu",
            "rope_theta": self.number(&key("rope.freq_base")).unwrap_or(10_000.0),
            "tie_word_embeddings": self.tensor("output.weight").is_none(),
            "max_position_embeddings": needed("context_length")?,
            "attention_bias":
                architecture != "qwen2" && self.tensor("blk.0.attn_q.bias").is_some(),
            "mlp_bias": self.tensor("blk.0.ffn_gate.bias").is_some(),
        });
        if let Some(config) = config.as_object_mut() {
            let epsilon = self.number(&key("attention.layer_norm_rms_epsilon"));
            config.extend(epsilon.map(|epsilon| {
                // Kept in 32 bits: 1e-6 comes back as it was written.
                ("rms_norm_eps".to_owned(), json!(shortest(epsilon)))
            }));
            for name in ["eos", "bos"] {
                let id = self.count(&format!("tokenizer.ggml.{name}_token_id"));
                config.extend(id.map(|id| (format!("{name}_token_id"), json!(id))));
            }
            let scaling = self.rotary_scaling(architecture)?;
            config.extend(scaling.map(|scaling| ("rope_parameters".to_owned(), scaling)));
        }
        let config: DecoderConfig = serde_json::from_value(config)
            .map_err(|source| ModelError::Json { path: self.path().to_owned(), source })?;
        config.checked(self.path())
    }

    fn rotary_scaling(&self, architecture: &str) -> Result<Option<Value>, ModelError> {
        let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
        let number = |name: &str| self.number(&key(name)).map(shortest);
        if let Some(tensor) = self.tensor("rope_freqs.weight") {
            if tensor.shape.len() != 1 {
                return Err(self.unsupported("rope_freqs.weight is not a vector".into()));
            }
            let factors = self.read_floats("rope_freqs.weight", 0..1)?;
            return Ok(Some(json!({ "rope_type": "factors", "factors": factors })));
        }
        match self.text(&key("type")) {
            None | Some("none") => Ok(None),
            Some("linear") => {
                Ok(Some(json!({ "rope_type": "linear", "factor": number("factor") })))
            }
            Some("yarn") => {
                if [key("attn_factor"), key("yarn_attn_factor"), key("yarn_log_multiplier")]
                    .iter()
                    .any(|key| self.value(key).is_some())
                {
                    return Err(self.unsupported("its YaRN has an attention factor".into()));
                }
                let mut yarn = Map::new();
                yarn.insert("rope_type".into(), json!("yarn"));
                for (ours, theirs) in [
                    ("factor", "factor"),
                    ("original_max_position_embeddings", "original_context_length"),
                    ("beta_fast", "yarn_beta_fast"),
                    ("beta_slow", "yarn_beta_slow"),
                ] {
                    yarn.extend(number(theirs).map(|value| (ours.to_owned(), json!(value))));
                }
                Ok(Some(Value::Object(yarn)))
            }
            Some(other) => Err(self.unsupported(format!(
                "rotary embeddings of type {other:?} are not computed; linear and yarn are"
            ))),
        }
    }
}

/// The double that is written as briefly as the float it came from.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The architecture under which a configuration is written.
pub(super) fn architecture_of(config: &DecoderConfig) -> &'static str {
    match config.family() {
        "qwen2" => "qwen2",
        "qwen3" => "qwen3",
        _ => "llama",
    }
}

/// An architecture's name, and keys with their values.
type Described = (&'static str, Vec<(String, GgufValue)>);

/// The architecture under which a configuration is written, and its metadata.
///
/// # Errors
/// Where llama.cpp would compute something else from it.
pub(super) fn of_config(config: &DecoderConfig) -> Result<Described, ModelError> {
    let refused = |reason: String| {
        Err(ModelError::InvalidConfig(format!("{reason}, which GGUF files cannot say")))
    };
    let architecture = architecture_of(config);
    if (0..config.num_hidden_layers).any(|layer| config.window(layer).is_some()) {
        return refused("it has sliding windows".into());
    }
    if architecture == "qwen3" && config.has_bias(crate::Projection::Query) {
        return refused("a Qwen 3 has biases".into());
    }
    let integer = |name: &str, value: usize| {
        (format!("{architecture}.{name}"), GgufValue::Integer(value as i64))
    };
    let float =
        |name: &str, value: f64| (format!("{architecture}.{name}"), GgufValue::Float(value));
    let mut metadata = vec![
        ("general.architecture".to_owned(), GgufValue::Text(architecture.to_owned())),
        integer("context_length", config.max_position_embeddings),
        integer("embedding_length", config.hidden_size),
        integer("block_count", config.num_hidden_layers),
        integer("feed_forward_length", config.intermediate_size),
        integer("attention.head_count", config.num_attention_heads),
        integer("attention.head_count_kv", config.kv_heads()),
        integer("attention.key_length", config.head_size()),
        integer("attention.value_length", config.head_size()),
        integer("rope.dimension_count", config.head_size()),
        integer("vocab_size", config.vocab_size),
        float("attention.layer_norm_rms_epsilon", config.rms_norm_eps),
        float("rope.freq_base", config.rotary_base()),
    ];
    let given = config.rope_parameters();
    let number = |name: &str| given.and_then(|given| given.get(name)).and_then(Value::as_f64);
    let kind = given.and_then(|given| given.get("rope_type").or_else(|| given.get("type")));
    let scaling = |kind: &str| {
        (format!("{architecture}.rope.scaling.type"), GgufValue::Text(kind.to_owned()))
    };
    match kind.and_then(Value::as_str).unwrap_or("default") {
        "default" => {}
        "linear" => {
            metadata.push(scaling("linear"));
            metadata.extend(number("factor").map(|by| float("rope.scaling.factor", by)));
        }
        "yarn" => {
            let changed = ["attention_factor", "mscale", "mscale_all_dim", "truncate"];
            if changed.iter().any(|name| given.is_some_and(|given| given.get(name).is_some())) {
                return refused("its YaRN has factors of its own".into());
            }
            metadata.push(scaling("yarn"));
            for (ours, theirs) in [
                ("factor", "factor"),
                ("beta_fast", "yarn_beta_fast"),
                ("beta_slow", "yarn_beta_slow"),
            ] {
                metadata.extend(
                    number(ours).map(|value| float(&format!("rope.scaling.{theirs}"), value)),
                );
            }
            metadata.extend(number("original_max_position_embeddings").map(|original| {
                integer("rope.scaling.original_context_length", original as usize)
            }));
        }
        // Written as a tensor, which only Llamas have.
        "llama3" | "factors" if architecture == "llama" => {}
        other => return refused(format!("a {architecture} has rotary embeddings of type {other}")),
    }
    Ok((architecture, metadata))
}

/// What each rotary frequency is divided by, where the metadata cannot say it.
pub(super) fn rotary_factors(config: &DecoderConfig) -> Result<Option<Vec<f32>>, ModelError> {
    let given = config.rope_parameters();
    let kind = given.and_then(|given| given.get("rope_type").or_else(|| given.get("type")));
    if !matches!(kind.and_then(Value::as_str), Some("llama3" | "factors")) {
        return Ok(None);
    }
    let (base, head) = (config.rotary_base(), config.head_size() as f64);
    let frequencies = config.rotary()?.frequencies;
    let factors = frequencies
        .iter()
        .enumerate()
        .map(|(index, frequency)| (base.powf(-2.0 * index as f64 / head) / frequency) as f32);
    Ok(Some(factors.collect()))
}
