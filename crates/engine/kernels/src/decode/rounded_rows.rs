//! Activations in 8 bits, as products with quantized weights take them.

use super::instruction_set::dispatched;
use super::lane::LANE;
use super::linear_rows::Strided;
use super::vector::ROUND;
use crate::blocks::CHUNK;

/// Rows of activations, rounded to 8 bits with a scale per 32; a buffer kept between calls.
#[derive(Debug, Default)]
pub struct Q8Rows {
    inputs: usize,
    quants: Vec<i8>,
    /// Per row and 32.
    scales: Vec<f32>,
    /// Per row and 16, the sum of the integers.
    sums: Vec<[i32; 2]>,
    /// Per row and 32, the sum of the rounded activations.
    totals: Vec<f32>,
}

/// A rounded row.
#[derive(Clone, Copy)]
pub(super) struct Q8Row<'a> {
    pub(super) quants: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) sums: &'a [[i32; 2]],
    pub(super) totals: &'a [f32],
}

impl Q8Rows {
    /// Takes `rows` rows of `inputs` floats; the old content is lost. `inputs` is a multiple of 32.
    pub(super) fn round(&mut self, x: Strided<'_>, rows: usize, inputs: usize) {
        let chunks = inputs / CHUNK;
        self.inputs = inputs;
        self.quants.resize(rows * inputs, 0);
        self.scales.resize(rows * chunks, 0.0);
        self.sums.resize(rows * chunks, [0; 2]);
        self.totals.resize(rows * chunks, 0.0);
        for row in 0..rows {
            let at = row * chunks..(row + 1) * chunks;
            round_row(
                &x.data[row * x.stride..][..inputs],
                &mut self.quants[row * inputs..][..inputs],
                &mut self.scales[at.clone()],
                &mut self.sums[at.clone()],
                &mut self.totals[at],
            );
        }
    }

    /// One row.
    pub(super) fn row(&self, row: usize) -> Q8Row<'_> {
        let chunks = self.inputs / CHUNK;
        let at = row * chunks..(row + 1) * chunks;
        Q8Row {
            quants: &self.quants[row * self.inputs..][..self.inputs],
            scales: &self.scales[at.clone()],
            sums: &self.sums[at.clone()],
            totals: &self.totals[at],
        }
    }
}

dispatched! {
    fn round_row(
        x: &[f32],
        quants: &mut [i8],
        scales: &mut [f32],
        sums: &mut [[i32; 2]],
        totals: &mut [f32],
    ) = round_chunks;
}

#[inline(always)]
fn round_chunks<const FUSED: bool>(
    x: &[f32],
    quants: &mut [i8],
    scales: &mut [f32],
    sums: &mut [[i32; 2]],
    totals: &mut [f32],
) {
    let chunks = x.as_chunks::<CHUNK>().0.iter().zip(quants.as_chunks_mut::<CHUNK>().0);
    let numbers = scales.iter_mut().zip(sums).zip(totals);
    for ((x, quants), ((scale, sums), total)) in chunks.zip(numbers) {
        let mut most = [0.0_f32; LANE];
        for part in x.as_chunks::<LANE>().0 {
            for (most, x) in most.iter_mut().zip(part) {
                *most = if x.abs() > *most { x.abs() } else { *most };
            }
        }
        let largest = most.iter().fold(0.0_f32, |most, &x| if x > most { x } else { most });
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for ((quants, x), sum) in
            quants.as_chunks_mut::<16>().0.iter_mut().zip(x.as_chunks::<16>().0).zip(&mut *sums)
        {
            *sum = 0;
            for (quant, x) in quants.iter_mut().zip(x) {
                // The low bits of the sum are the nearest integer.
                *quant = (x * inverse + ROUND).to_bits() as i8;
                *sum += i32::from(*quant);
            }
        }
        *total = *scale * (sums[0] + sums[1]) as f32;
    }
}
