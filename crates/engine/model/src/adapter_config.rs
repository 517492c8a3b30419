//! `adapter_config.json` of a PEFT folder: what is written, and what is refused when reading.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ModelError, Projection};

/// What decides an adapter's shape and scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Rank `r` of every pair.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Whether the scale is `alpha / √r` (rsLoRA) rather than `alpha / r`.
    pub rank_stabilized: bool,
    /// The linear layers that have a pair, in every decoder layer.
    pub targets: Vec<Projection>,
    /// Name or path of the base model.
    pub base_model: String,
}

impl AdapterConfig {
    /// What the product of the pair is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }

    /// Refuses numbers that make no adapter.
    ///
    /// # Errors
    /// Says which number, and what it must be.
    pub fn validate(&self) -> Result<(), ModelError> {
        if self.rank == 0 || self.rank > 512 {
            return Err(ModelError::InvalidConfig(format!(
                "the adapter's rank is {}, but must be between 1 and 512",
                self.rank
            )));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(ModelError::InvalidConfig("lora_alpha must be positive".into()));
        }
        if self.targets.is_empty() {
            return Err(ModelError::InvalidConfig("the adapter targets no linear layer".into()));
        }
        Ok(())
    }

    /// The JSON that PEFT, vLLM, NIM and mistral.rs all read.
    #[must_use]
    pub fn to_peft(&self) -> Value {
        let mut targets: Vec<_> = self.targets.iter().map(|target| target.leaf()).collect();
        targets.sort_unstable();
        let alpha = if self.alpha.fract() == 0.0 && self.alpha < 1e9 {
            json!(self.alpha as u64)
        } else {
            json!(self.alpha)
        };
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base_model,
            "revision": null,
            "r": self.rank,
            "lora_alpha": alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "use_rslora": self.rank_stabilized,
            "use_dora": false,
            "modules_to_save": null,
            "target_modules": targets,
            "rank_pattern": {},
            "alpha_pattern": {},
            "layers_to_transform": null,
            "layers_pattern": null,
            "layer_replication": null,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "loftq_config": {},
            "auto_mapping": null,
        })
    }

    /// Reads PEFT's JSON strictly: what would change the arithmetic and is not computed is refused.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] with the field and what is expected of it.
    pub fn from_peft(value: &Value, path: &Path) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::Unsupported { path: path.to_owned(), reason };
        if value.get("peft_type").and_then(Value::as_str) != Some("LORA") {
            return Err(refuse("peft_type must be \"LORA\"".into()));
        }
        refuse_extensions(value).map_err(refuse)?;
        // PEFT's own defaults, though an adapter without them is unusual.
        let rank = number(value, "r", 8.0).map_err(refuse)?;
        if rank.fract() != 0.0 || !(1.0..=512.0).contains(&rank) {
            return Err(refuse(format!("r is {rank}, but must be a whole number from 1 to 512")));
        }
        let config = Self {
            rank: rank as usize,
            alpha: number(value, "lora_alpha", 8.0).map_err(refuse)?,
            rank_stabilized: value.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            targets: targets(value).map_err(refuse)?,
            base_model: value
                .get("base_model_name_or_path")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        config.validate()?;
        Ok(config)
    }
}

fn number(value: &Value, field: &str, default: f64) -> Result<f64, String> {
    match value.get(field) {
        None => Ok(default),
        Some(found) => found.as_f64().ok_or_else(|| format!("{field} must be a number")),
    }
}

fn targets(value: &Value) -> Result<Vec<Projection>, String> {
    let mut targets = match value.get("target_modules") {
        Some(Value::String(all)) if all == "all-linear" => Projection::ALL.to_vec(),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| {
                let name = name.as_str().unwrap_or_default();
                Projection::from_leaf(name).ok_or_else(|| {
                    format!("target module {name:?} is none of the seven linear layers")
                })
            })
            .collect::<Result<_, _>>()?,
        _ => return Err("target_modules must be a list of names".into()),
    };
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

fn refuse_extensions(value: &Value) -> Result<(), String> {
    let is_off = |field: &Value| match field {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let must_be_off = [
        ("use_dora", "DoRA"),
        ("modules_to_save", "whole modules beside the pairs"),
        ("layer_replication", "layer replication"),
        ("layers_to_transform", "a choice of layers"),
        ("rank_pattern", "ranks that differ by module"),
        ("alpha_pattern", "alphas that differ by module"),
        ("fan_in_fan_out", "transposed weights"),
        ("trainable_token_indices", "trained embeddings"),
        ("target_parameters", "bare parameters"),
        ("exclude_modules", "excluded modules"),
        ("alora_invocation_tokens", "activated LoRA"),
        ("lora_bias", "biases"),
        ("use_bdlora", "block-diagonal pairs"),
    ];
    for (field, what) in must_be_off {
        if value.get(field).is_some_and(|found| !is_off(found)) {
            return Err(format!("{field} is set, but {what} are not computed"));
        }
    }
    if let Some(bias) = value.get("bias").and_then(Value::as_str).filter(|bias| *bias != "none") {
        return Err(format!("bias is {bias:?}, but only \"none\" is computed"));
    }
    match value.get("init_lora_weights") {
        None | Some(Value::Bool(_) | Value::Null) => Ok(()),
        Some(Value::String(kind)) if kind == "gaussian" => Ok(()),
        Some(kind) => Err(format!(
            "init_lora_weights is {kind}, which changes the base; export it as a plain adapter"
        )),
    }
}
