//! How many bits weights get, tensor by tensor.

use std::fmt;
use std::str::FromStr;

use pelton_kernels::blocks::BlockFormat;
use pelton_kernels::decode::WeightFormat;
use serde::{Deserialize, Serialize};

use crate::{DecoderConfig, Projection};

/// How weights that a source has as floats are kept; what a source keeps in blocks stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// 16-bit floats.
    #[serde(rename = "f16")]
    F16,
    /// 8 bits, a scale per 32.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 6 bits in super-blocks.
    #[serde(rename = "q6_k")]
    Q6K,
    /// 4 bits in super-blocks; 6 for the head.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 4 bits in super-blocks; 6 for the head and for half of the layers' values and second
    /// feed-forward matrices, as llama.cpp's `Q4_K_M`.
    #[serde(rename = "q4_k_m")]
    Q4KM,
}

/// A name that is no precision.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no precision: there are f32, f16, q8_0, q6_k, q4_k and q4_k_m")]
pub struct UnknownPrecision(String);

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Q8_0, Self::Q6K, Self::Q4K, Self::Q4KM];

    /// Its name in settings and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q6K => "q6_k",
            Self::Q4K => "q4_k",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// What a matrix of `cols` inputs becomes: the choice of llama.cpp (`llama_tensor_get_type`). Rows
    /// that are no whole super-blocks get 5 or 8 bits in blocks of 32, rows that are no whole blocks
    /// stay floats.
    #[must_use]
    pub fn format(self, config: &DecoderConfig, name: &str, cols: usize) -> WeightFormat {
        let Some(base) = self.base() else { return self.plain_format(cols) };
        let head =
            if config.tie_word_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" };
        if name == head {
            let whole = base.fits(cols) && base != BlockFormat::Q8_0;
            return fitting(if whole { BlockFormat::Q6K } else { BlockFormat::Q8_0 }, cols);
        }
        fitting(self.of_layer(config, name).unwrap_or(base), cols)
    }

    /// What a matrix of `cols` inputs becomes where all are treated alike.
    #[must_use]
    pub fn plain_format(self, cols: usize) -> WeightFormat {
        match self.base() {
            Some(base) => fitting(base, cols),
            None if self == Self::F16 => WeightFormat::F16,
            None => WeightFormat::F32,
        }
    }

    fn base(self) -> Option<BlockFormat> {
        match self {
            Self::F32 | Self::F16 => None,
            Self::Q8_0 => Some(BlockFormat::Q8_0),
            Self::Q6K => Some(BlockFormat::Q6K),
            Self::Q4K | Self::Q4KM => Some(BlockFormat::Q4K),
        }
    }

    /// The tensors that get more than the rest.
    fn of_layer(self, config: &DecoderConfig, name: &str) -> Option<BlockFormat> {
        if self != Self::Q4KM {
            return None;
        }
        let (layer, projection) = Projection::parse_module_path(name.strip_suffix(".weight")?)?;
        let layers = config.num_hidden_layers;
        let more = layer < layers / 8
            || layer >= 7 * layers / 8
            || (layer.saturating_sub(layers / 8)) % 3 == 2;
        // The 70B models share each value head among eight query heads.
        let large = layers == 80 && config.kv_heads() < config.num_attention_heads;
        match projection {
            Projection::Value | Projection::Down if more => Some(BlockFormat::Q6K),
            Projection::Value if large => Some(BlockFormat::Q5K),
            _ => None,
        }
    }
}

/// The format, or what rows of another width get instead.
fn fitting(chosen: BlockFormat, cols: usize) -> WeightFormat {
    let fitting = match chosen {
        chosen if chosen.fits(cols) => chosen,
        BlockFormat::Q4K => BlockFormat::Q5_0,
        _ => BlockFormat::Q8_0,
    };
    if fitting.fits(cols) { WeightFormat::Blocks(fitting) } else { WeightFormat::F32 }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == text);
        known.ok_or_else(|| UnknownPrecision(text.to_owned()))
    }
}
