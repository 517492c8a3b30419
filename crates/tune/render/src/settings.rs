//! `config.json`: all that the scripts are told.

use crate::{Cluster, RenderError};
use pelton_finetune::{BasePrecision, FinetuneMethod, FinetuneSpec, Hyperparameters, TrainingRows};
use serde_json::json;

/// What the names of a spec stand for at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The base model.
    pub base: Base,
    /// What is learned from.
    pub source: Source,
    /// How much there is of it.
    pub rows: TrainingRows,
}

/// A base model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `name@version`.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Its licence, which the result inherits.
    pub license: String,
}

/// What is learned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A dataset version, `name@version`, by the digest of its manifest.
    Dataset {
        /// `name@version`.
        name: String,
        /// Digest of its manifest.
        digest: String,
    },
    /// A file of preference pairs, by its digest.
    Preferences {
        /// Digest of the file.
        digest: String,
    },
}

pub(crate) fn settings(
    spec: &FinetuneSpec,
    inputs: &Inputs,
    cluster: &Cluster,
) -> Result<String, RenderError> {
    let FinetuneSpec {
        name,
        base: _,
        dataset: _,
        preferences: _,
        method,
        base_precision,
        preference_beta: _,
        // Refused in `fit`.
        teacher: _,
        distillation_weight: _,
        distillation_temperature: _,
        merge,
        train_rows,
        // Everything below became a hyperparameter.
        seed: _,
        shuffle_labels: _,
        rank: _,
        targets: _,
        alpha: _,
        learning_rate: _,
        epochs: _,
        batch_tokens: _,
        rehearsal: _,
        kl_to_base: _,
        max_minutes,
    } = spec;
    let Inputs { base, source, rows } = inputs;
    let Base { reference, digest, license } = base;
    let (dataset, preferences) = match source {
        Source::Dataset { name, digest } => (json!({ "name": name, "digest": digest }), None),
        Source::Preferences { digest } => (json!(null), Some(digest)),
    };
    let numbers = Hyperparameters::of(spec, TrainingRows { rehearses: false, ..*rows });
    let settings = json!({
        "format": "pelton.dev/finetune/v1",
        "name": name,
        "base": { "ref": reference, "digest": digest, "license": license },
        "dataset": dataset,
        "preferences": preferences,
        "method": match method {
            FinetuneMethod::Lora => "lora",
            FinetuneMethod::Full => "full",
        },
        "merge": merge,
        "train_rows": train_rows,
        "max_minutes": max_minutes,
        "quantize": match base_precision {
            BasePrecision::F32 => None,
            BasePrecision::Q8_0 => Some("int8"),
        },
        "precision": cluster.precision_in_force().name(),
        "sharding": cluster.sharding.name(),
        "micro_batch_tokens": cluster.micro_batch_tokens,
        "hyperparameters": numbers,
    });
    Ok(serde_json::to_string_pretty(&settings)?)
}
