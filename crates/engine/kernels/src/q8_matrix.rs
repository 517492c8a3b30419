//! Frozen weights in 8 bits, as training reads them: a few rows at a time, back in floats.
//!
//! The format is GGML's Q8_0: 32 neighbors in a row share a scale, `max |w| / 127` in 16 bits. Unlike the
//! panels that serving packs, rows stay in order, because the backward pass reads them the other way round.

use std::ops::Range;

use half::f16;
use thiserror::Error;

use crate::Real;

/// Elements that share a scale.
const BLOCK: usize = 32;

/// A matrix whose rows cannot be cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("rows of {cols} cannot be kept in 8 bits: the length must be a multiple of 32")]
pub struct NotInBlocks {
    /// Length of a row.
    pub cols: usize,
}

/// A row-major `[rows, cols]` matrix of signed bytes with a scale for each 32.
#[derive(Debug, Clone, PartialEq)]
pub struct Q8Matrix {
    quants: Vec<i8>,
    scales: Vec<f16>,
    cols: usize,
}

impl Q8Matrix {
    /// A matrix without rows, to be filled by [`Self::extend`].
    ///
    /// # Errors
    /// When `cols` is not a multiple of 32.
    pub fn empty(cols: usize) -> Result<Self, NotInBlocks> {
        if cols == 0 || !cols.is_multiple_of(BLOCK) {
            return Err(NotInBlocks { cols });
        }
        Ok(Self { quants: Vec::new(), scales: Vec::new(), cols })
    }

    /// Makes room for this many rows more, without slack.
    pub fn reserve(&mut self, rows: usize) {
        self.quants.reserve_exact(rows * self.cols);
        self.scales.reserve_exact(rows * self.cols / BLOCK);
    }

    /// Rounds more rows and appends them; `weight` is `[rows, cols]`.
    pub fn extend(&mut self, weight: &[f32]) {
        for block in weight.as_chunks::<BLOCK>().0 {
            let largest = block.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let exact = largest / 127.0;
            let inverse = if exact > 0.0 { 1.0 / exact } else { 0.0 };
            self.scales.push(f16::from_f32(exact));
            let quant = |value: &f32| (value * inverse).round().clamp(-127.0, 127.0) as i8;
            self.quants.extend(block.iter().map(quant));
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.quants.len() / self.cols
    }

    /// Length of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.quants.as_slice()) + size_of_val(self.scales.as_slice())
    }

    /// The bytes and the scales' bits, for a fingerprint.
    pub fn content(&self) -> (&[i8], impl Iterator<Item = u16> + '_) {
        (&self.quants, self.scales.iter().map(|scale| scale.to_bits()))
    }

    /// Writes a run of rows as floats into `out`, which is as long as they are.
    ///
    /// # Panics
    /// When there are not as many rows.
    pub fn dequantize<T: Real>(&self, rows: Range<usize>, out: &mut [T]) {
        let blocks = self.cols / BLOCK;
        dequantize(
            out,
            &self.quants[rows.start * self.cols..rows.end * self.cols],
            &self.scales[rows.start * blocks..rows.end * blocks],
        );
    }
}

vectorized! {
    fn dequantize<T>(out: &mut [T], quants: &[i8], scales: &[f16]) {
        let blocks = out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(quants.as_chunks::<BLOCK>().0);
        for ((out, quants), scale) in blocks.zip(scales) {
            let scale = T::of(f64::from(scale.to_f32()));
            for lane in 0..BLOCK {
                out[lane] = T::of_byte(quants[lane]) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finite_differences::values32;

    #[test]
    fn rounds_to_within_half_a_step() {
        let weight = values32(5 * 64, 3);
        let mut matrix = Q8Matrix::empty(64).unwrap();
        matrix.reserve(5);
        matrix.extend(&weight[..2 * 64]);
        matrix.extend(&weight[2 * 64..]);
        assert_eq!((matrix.rows(), matrix.cols(), matrix.bytes()), (5, 64, 5 * 68));
        let mut out = vec![0.0_f32; 3 * 64];
        matrix.dequantize(1..4, &mut out);
        for (found, exact) in out.iter().zip(&weight[64..]) {
            // Half of 1/127, and what the scale loses in 16 bits.
            assert!((found - exact).abs() < 0.5 / 127.0 + 1e-3, "{found} {exact}");
        }
        assert!(out.iter().zip(&weight[64..]).any(|(found, exact)| found != exact));
        assert_eq!(Q8Matrix::empty(40).unwrap_err(), NotInBlocks { cols: 40 });
    }
}
