//! The request, as it waits in the queue.

use serde::{Deserialize, Serialize};

/// What a fine-tune is asked to do. What is none follows from the rest: see [`crate::Hyperparameters`].
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
pub struct FinetuneSpec {
    /// The model's name; every run makes a new version of it.
    pub name: String,
    /// The base model, `name@version`.
    pub base: String,
    /// The dataset version, `name@version`; or `preferences` instead.
    pub dataset: Option<String>,
    /// Digest of the preference pairs.
    pub preferences: Option<String>,
    /// What is trained.
    #[serde(default)]
    pub method: FinetuneMethod,
    /// How the frozen base is kept meanwhile.
    #[serde(default)]
    pub base_precision: BasePrecision,
    /// For pairs: how strongly the model is held to the base.
    pub preference_beta: Option<f64>,
    /// A model whose distributions are learned, `name@version`.
    pub teacher: Option<String>,
    /// The teacher's share of the loss.
    pub distillation_weight: Option<f64>,
    /// Temperature of the teacher's and the student's distributions.
    pub distillation_temperature: Option<f64>,
    /// Whether the adapter is merged into a copy of the base.
    #[serde(default)]
    pub merge: bool,
    /// Training rows to use, drawn by seed.
    pub train_rows: Option<u64>,
    /// The same seed gives the same model.
    pub seed: u64,
    /// Whether answers are dealt out at random: a control that must not help.
    pub shuffle_labels: bool,
    /// LoRA rank.
    pub rank: Option<u32>,
    /// The linear layers that get a low-rank pair.
    pub targets: Option<Targets>,
    /// LoRA alpha.
    pub alpha: Option<u32>,
    /// Peak learning rate.
    pub learning_rate: Option<f64>,
    /// Passes over the rows at most.
    pub epochs: Option<f64>,
    /// Tokens in a batch.
    pub batch_tokens: Option<u32>,
    /// Share of base tasks mixed in against forgetting.
    pub rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on them.
    pub kl_to_base: Option<f64>,
    /// Longest training time.
    pub max_minutes: Option<f64>,
}

/// What is trained.
#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FinetuneMethod {
    /// An adapter.
    #[default]
    Lora,
    /// All weights.
    Full,
}

/// How the base is kept meanwhile.
#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
pub enum BasePrecision {
    /// 32-bit floats.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// Blocks of 32 signed bytes with one scale.
    #[serde(rename = "q8_0")]
    Q8_0,
}

/// The linear layers that get a low-rank pair.
#[derive(Debug, Deserialize, Serialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// All of every decoder layer.
    #[default]
    All,
    /// Those of the attention.
    Attention,
    /// Those of the feed-forward network.
    Mlp,
}

impl Targets {
    /// The name in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
        }
    }
}

impl FinetuneSpec {
    /// What is learned from, for people.
    #[must_use]
    pub fn source(&self) -> &str {
        self.dataset.as_deref().or(self.preferences.as_deref()).unwrap_or("nothing")
    }
}
