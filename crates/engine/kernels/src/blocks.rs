//! ggml's block formats for weights: what GGUF files hold, bit for bit.
//!
//! A row of weights is cut into blocks of 32, or into super-blocks of 256 whose eight parts of 32 (sixteen of
//! 16 in Q6_K) have small integers as scales. The formats are those of `ggml-common.h`, the way to choose
//! scales is that of `ggml-quants.c` without an importance matrix, so that the bytes are the same.

mod k_scales;
mod quantize;
#[cfg(test)]
mod tests;

use half::f16;

/// Weights that are read together, whatever the format: inputs that share an activation's scale.
pub(crate) const CHUNK: usize = 32;
/// Weights of a super-block.
const SUPER: usize = 256;

/// A format of quantized weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockFormat {
    /// 4 bits, one scale per 32.
    Q4_0,
    /// 5 bits, one scale per 32.
    Q5_0,
    /// 8 bits, one scale per 32.
    Q8_0,
    /// 4 bits, a scale and a minimum of 6 bits each per 32, in super-blocks.
    Q4K,
    /// 5 bits, scales as in [`Self::Q4K`].
    Q5K,
    /// 6 bits, a scale of 8 bits per 16, in super-blocks.
    Q6K,
}

/// 32 weights of a row: unsigned integers and what turns them into floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    /// One byte per weight; 8 bits have 128 added.
    pub(crate) quants: [u8; CHUNK],
    /// The scale in 16 bits; or scale and minimum; or the scales of both halves.
    pub(crate) scales: [u8; 2],
    /// The super-block's scale, and the scale of its minimums.
    pub(crate) deltas: [f16; 2],
}

impl BlockFormat {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Q4_0, Self::Q5_0, Self::Q8_0, Self::Q4K, Self::Q5K, Self::Q6K];

    /// Weights per block; a row must be a multiple of it.
    pub fn weights(self) -> usize {
        if self.is_super() { SUPER } else { CHUNK }
    }

    /// Bytes per block.
    pub fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a row of `inputs` weights.
    pub fn row_bytes(self, inputs: usize) -> usize {
        inputs / self.weights() * self.bytes()
    }

    /// Whether rows of `inputs` weights are whole blocks.
    pub fn fits(self, inputs: usize) -> bool {
        inputs > 0 && inputs.is_multiple_of(self.weights())
    }

    pub(crate) fn is_super(self) -> bool {
        matches!(self, Self::Q4K | Self::Q5K | Self::Q6K)
    }

    /// What integers are above the weight's, before it is scaled.
    pub(crate) fn offset(self) -> i32 {
        match self {
            Self::Q4_0 => 8,
            Self::Q5_0 => 16,
            Self::Q8_0 => 128,
            Self::Q4K | Self::Q5K => 0,
            Self::Q6K => 32,
        }
    }

    /// Rounds weights to blocks.
    ///
    /// # Panics
    /// Where `weights` are no whole blocks, or `blocks` has not their bytes.
    pub fn quantize(self, weights: &[f32], blocks: &mut [u8]) {
        assert!(weights.len().is_multiple_of(self.weights()), "weights make no whole blocks");
        assert_eq!(blocks.len(), self.row_bytes(weights.len()), "bytes of the blocks");
        let pairs = weights.chunks_exact(self.weights()).zip(blocks.chunks_exact_mut(self.bytes()));
        for (weights, block) in pairs {
            match self {
                Self::Q4_0 => quantize::q4_0(weights, block),
                Self::Q5_0 => quantize::q5_0(weights, block),
                Self::Q8_0 => quantize::q8_0(weights, block),
                Self::Q4K => quantize::q4_k(weights, block),
                Self::Q5K => quantize::q5_k(weights, block),
                Self::Q6K => quantize::q6_k(weights, block),
            }
        }
    }

    /// The weights of blocks.
    ///
    /// # Panics
    /// Where `blocks` has not as many weights.
    pub fn dequantize(self, blocks: &[u8], weights: &mut [f32]) {
        assert_eq!(blocks.len(), self.row_bytes(weights.len()), "bytes of the blocks");
        let (chunks, rest) = weights.as_chunks_mut::<CHUNK>();
        assert!(rest.is_empty(), "weights make no whole blocks");
        for (index, weights) in chunks.iter_mut().enumerate() {
            *weights = self.chunk(blocks, index).weights(self);
        }
    }

    /// The `index`-th 32 weights of `blocks`.
    pub(crate) fn chunk(self, blocks: &[u8], index: usize) -> Chunk {
        let per_block = self.weights() / CHUNK;
        let block = &blocks[index / per_block * self.bytes()..][..self.bytes()];
        let part = index % per_block;
        let half_at = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]);
        let no_deltas = [f16::ZERO; 2];
        match self {
            Self::Q4_0 => Chunk {
                quants: nibbles(&block[2..18]),
                scales: [block[0], block[1]],
                deltas: no_deltas,
            },
            Self::Q5_0 => {
                let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
                let low = nibbles(&block[6..22]);
                let quants = std::array::from_fn(|at| low[at] | ((high >> at & 1) as u8) << 4);
                Chunk { quants, scales: [block[0], block[1]], deltas: no_deltas }
            }
            Self::Q8_0 => Chunk {
                quants: std::array::from_fn(|at| block[2 + at] ^ 0x80),
                scales: [block[0], block[1]],
                deltas: no_deltas,
            },
            Self::Q4K | Self::Q5K => {
                let (scale, minimum) = k_scales::get(&block[4..16], part);
                let low_at = if self == Self::Q4K { 16 } else { 48 };
                let low = &block[low_at + part / 2 * 32..][..32];
                let quants = std::array::from_fn(|at| {
                    let nibble = low[at] >> (part % 2 * 4) & 15;
                    let high = if self == Self::Q5K { block[16 + at] >> part & 1 } else { 0 };
                    nibble | high << 4
                });
                Chunk { quants, scales: [scale, minimum], deltas: [half_at(0), half_at(2)] }
            }
            Self::Q6K => {
                // Each half of the super-block has 64 bytes of low and 32 of high bits for four parts.
                let (half, part_of_half) = (part / 4, part % 4);
                let low = &block[half * 64 + part_of_half % 2 * 32..][..32];
                let high = &block[128 + half * 32..][..32];
                let quants = std::array::from_fn(|at| {
                    let nibble = low[at] >> (part_of_half / 2 * 4) & 15;
                    nibble | (high[at] >> (2 * part_of_half) & 3) << 4
                });
                let scales = [block[192 + 2 * part], block[193 + 2 * part]];
                Chunk { quants, scales, deltas: [half_at(208), f16::ZERO] }
            }
        }
    }
}

impl Chunk {
    pub(crate) fn weights(&self, format: BlockFormat) -> [f32; CHUNK] {
        let [delta, minimum_delta] = self.deltas.map(f16::to_f32);
        let quant = |at: usize| (i32::from(self.quants[at]) - format.offset()) as f32;
        match format {
            BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 => {
                let scale = f16::from_le_bytes(self.scales).to_f32();
                std::array::from_fn(|at| quant(at) * scale)
            }
            BlockFormat::Q4K | BlockFormat::Q5K => {
                let scale = delta * f32::from(self.scales[0]);
                let minimum = minimum_delta * f32::from(self.scales[1]);
                std::array::from_fn(|at| scale * quant(at) - minimum)
            }
            BlockFormat::Q6K => std::array::from_fn(|at| {
                delta * f32::from(self.scales[at / 16].cast_signed()) * quant(at)
            }),
        }
    }
}

/// The low halves of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8]) -> [u8; CHUNK] {
    std::array::from_fn(|at| bytes[at % 16] >> (at / 16 * 4) & 15)
}
