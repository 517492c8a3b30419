//! One linear layer's weight in the precision that serving asked for.

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module as _, Tensor};
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// How linear layers keep their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Blocks of 32 signed bytes with one scale.
    Q8_0,
}

/// A weight `[out, in]` for `y = x Wᵀ`.
#[derive(Debug, Clone)]
pub enum LinearWeight {
    /// In 32-bit floats.
    F32(Tensor),
    /// In blocks of 32 signed bytes.
    Q8(QMatMul),
}

impl LinearWeight {
    /// A weight from row-major floats. Rows whose width is no multiple of 32 stay in f32, because
    /// the quantized format has no shorter block.
    ///
    /// # Errors
    /// When `data` is not `out * input` long, or quantization fails.
    pub fn new(
        data: &[f32],
        out: usize,
        input: usize,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let tensor = Tensor::from_slice(data, (out, input), &Device::Cpu)?;
        match precision {
            Precision::Q8_0 if input.is_multiple_of(GgmlDType::Q8_0.block_size()) => {
                let quantized = QTensor::quantize(&tensor, GgmlDType::Q8_0)?;
                Ok(Self::Q8(QMatMul::from_qtensor(quantized)?))
            }
            _ => Ok(Self::F32(tensor)),
        }
    }

    /// `x Wᵀ` for `x` of shape `[rows, in]`; the result is `[rows, out]`.
    ///
    /// # Errors
    /// When the shape of `x` does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(match self {
            Self::F32(weight) => x.matmul(&weight.t()?)?,
            Self::Q8(weight) => weight.forward(x)?,
        })
    }
}
