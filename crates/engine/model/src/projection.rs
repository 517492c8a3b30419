//! The seven linear layers of a decoder layer, which adapters can target.

use serde::{Deserialize, Serialize};

use crate::DecoderConfig;

/// A linear layer inside a decoder layer, by its Hugging Face leaf name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Projection {
    /// Queries.
    #[serde(rename = "q_proj")]
    Query,
    /// Keys.
    #[serde(rename = "k_proj")]
    Key,
    /// Values.
    #[serde(rename = "v_proj")]
    Value,
    /// Attention output.
    #[serde(rename = "o_proj")]
    Output,
    /// Feed-forward gate.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Feed-forward input.
    #[serde(rename = "up_proj")]
    Up,
    /// Feed-forward output.
    #[serde(rename = "down_proj")]
    Down,
}

impl Projection {
    /// All of them, in the order of computation.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// The leaf name, such as `q_proj`.
    #[must_use]
    pub fn leaf(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The projection with this leaf name.
    #[must_use]
    pub fn from_leaf(leaf: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.leaf() == leaf)
    }

    /// The module path, such as `model.layers.3.self_attn.q_proj`.
    #[must_use]
    pub fn module_path(self, layer: usize) -> String {
        let block = match self {
            Self::Query | Self::Key | Self::Value | Self::Output => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        };
        format!("model.layers.{layer}.{block}.{}", self.leaf())
    }

    /// Layer and projection of a module path.
    #[must_use]
    pub fn parse_module_path(path: &str) -> Option<(usize, Self)> {
        let (layer, rest) = path.strip_prefix("model.layers.")?.split_once('.')?;
        let layer = layer.parse().ok()?;
        let (_, leaf) = rest.split_once('.')?;
        let projection = Self::from_leaf(leaf)?;
        (projection.module_path(layer) == path).then_some((layer, projection))
    }

    /// `(out, in)` widths of the weight.
    #[must_use]
    pub fn shape(self, config: &DecoderConfig) -> (usize, usize) {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        match self {
            Self::Query => (config.query_size(), hidden),
            Self::Key | Self::Value => (config.kv_size(), hidden),
            Self::Output => (hidden, config.query_size()),
            Self::Gate | Self::Up => (inner, hidden),
            Self::Down => (hidden, inner),
        }
    }
}
