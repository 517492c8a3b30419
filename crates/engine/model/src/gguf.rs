//! GGUF, ggml's file format for models (`gguf.md` in the ggml repository), versions 2 and 3.

mod adapter;
mod file;
mod metadata;
mod model;
mod names;
mod quantize;
mod write;

#[cfg(test)]
mod tests;

use pelton_kernels::blocks::BlockFormat;

pub use adapter::adapter_to_gguf;
pub use file::GgufFile;
pub use model::GgufModel;
pub use quantize::{quantize_rows, quantize_to_gguf};
pub use write::GgufWriter;

const MAGIC: &[u8; 4] = b"GGUF";
/// Where files do not say how tensors are aligned, in bytes.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A value of the metadata. Integers of all widths are read into one kind; they are written in 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufValue {
    /// An integer.
    Integer(i64),
    /// A float, kept in 32 bits.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// UTF-8.
    Text(String),
    /// An array of integers or booleans.
    Integers(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f64>),
    /// An array of texts.
    Texts(Vec<String>),
}

/// How a tensor's elements are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufKind {
    /// 32-bit floats.
    F32,
    /// Half-precision floats.
    F16,
    /// Brain floats.
    Bf16,
    /// Blocks.
    Blocks(BlockFormat),
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufTensor {
    /// Its name, as ggml has it.
    pub name: String,
    /// Its dimensions, the slowest first, as Hugging Face has them.
    pub shape: Vec<usize>,
    /// How its elements are kept.
    pub kind: GgufKind,
}

impl GgufKind {
    const CODES: [(Self, u32); 9] = [
        (Self::F32, 0),
        (Self::F16, 1),
        (Self::Blocks(BlockFormat::Q4_0), 2),
        (Self::Blocks(BlockFormat::Q5_0), 6),
        (Self::Blocks(BlockFormat::Q8_0), 8),
        (Self::Blocks(BlockFormat::Q4K), 12),
        (Self::Blocks(BlockFormat::Q5K), 13),
        (Self::Blocks(BlockFormat::Q6K), 14),
        (Self::Bf16, 30),
    ];

    fn code(self) -> u32 {
        Self::CODES.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, code)| *code)
    }

    fn of_code(code: u32) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
    }

    /// Bytes of a row; `None` where it is no whole blocks or too long.
    fn row_bytes(self, cols: usize) -> Option<usize> {
        match self {
            Self::F32 => cols.checked_mul(4),
            Self::F16 | Self::Bf16 => cols.checked_mul(2),
            Self::Blocks(format) if cols.is_multiple_of(format.weights()) => {
                (cols / format.weights()).checked_mul(format.bytes())
            }
            Self::Blocks(_) => None,
        }
    }
}

impl GgufTensor {
    /// Elements of a row.
    fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Rows: all dimensions but the fastest; `None` where they overflow.
    fn rows(&self) -> Option<usize> {
        let rows = self.shape.len().saturating_sub(1);
        self.shape[..rows].iter().try_fold(1_usize, |rows, next| rows.checked_mul(*next))
    }

    /// Bytes in all; `None` where they overflow or rows are no whole blocks.
    fn bytes(&self) -> Option<usize> {
        self.kind.row_bytes(self.cols())?.checked_mul(self.rows()?)
    }
}
