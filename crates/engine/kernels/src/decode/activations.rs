//! Row-wise operators: RMS normalization, rotary positions, SwiGLU, residual addition.

use super::instruction_set::{dispatched, multiply_add};
use super::lane::LANE;
use super::vector::{EXP_COEFFICIENTS, ROUND};

dispatched! {
    /// `out[i] = x[i] / sqrt(mean(x[i]²) + eps) · weight` for rows of `weight.len()` floats.
    pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = rms_norm_rows;
}

dispatched! {
    /// `out = silu(gate) · up` over rows; a row of `gate_up` is `[gate; up]`, each `width` floats.
    pub fn swiglu(gate_up: &[f32], width: usize, out: &mut [f32]) = swiglu_rows;
}

dispatched! {
    /// `x += y`, element by element.
    pub fn add_rows(x: &mut [f32], y: &[f32]) = add_all;
}

dispatched! {
    fn rotate(row: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) = rotate_heads;
}

#[inline(always)]
fn rms_norm_rows<const FUSED: bool>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mut sums = [0.0_f32; LANE];
        let mut lanes = row.chunks_exact(LANE);
        for lane in &mut lanes {
            for (sum, &value) in sums.iter_mut().zip(lane) {
                *sum = multiply_add::<FUSED>(value, value, *sum);
            }
        }
        for (sum, &value) in sums.iter_mut().zip(lanes.remainder()) {
            *sum = multiply_add::<FUSED>(value, value, *sum);
        }
        let mean = sums.iter().sum::<f32>() / width as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for ((out, &value), &weight) in out.iter_mut().zip(row).zip(weight) {
            *out = value * scale * weight;
        }
    }
}

#[inline(always)]
fn swiglu_rows<const FUSED: bool>(gate_up: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gate, up) = row.split_at(width);
        for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp::<FUSED>(-gate)) * up;
        }
    }
}

#[inline(always)]
fn add_all<const FUSED: bool>(x: &mut [f32], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn rotate_heads<const FUSED: bool>(row: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    for head in row.chunks_exact_mut(head_dim) {
        let (low, high) = head.split_at_mut(head_dim / 2);
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            let (a, b) = (*low, *high);
            *low = a * cos - b * sin;
            *high = b * cos + a * sin;
        }
    }
}

/// `eˣ` without a branch or a call, so that loops over it vectorize. Cephes' polynomial on
/// `[-ln2/2, ln2/2]`; relative error below 2e-7 for `|x| < 87`, saturating beyond.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.3);
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let exponent = shifted - ROUND;
    // ln 2 in two parts, so that the reduction is exact.
    let r = multiply_add::<FUSED>(exponent, -0.693_359_4, x);
    let r = multiply_add::<FUSED>(exponent, 2.121_944_4e-4, r);
    let mut p = EXP_COEFFICIENTS[0];
    for &coefficient in &EXP_COEFFICIENTS[1..] {
        p = multiply_add::<FUSED>(p, r, coefficient);
    }
    let p = multiply_add::<FUSED>(p, r * r, r) + 1.0;
    let bits = (shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits());
    p * f32::from_bits(bits)
}

/// Cosines and sines of rotary position embedding, in the layout of Hugging Face ("rotate half").
#[derive(Debug, Clone)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Tables for positions `0..positions`. `frequencies` are radians per position for each of a
    /// head's pairs; `scale` multiplies all cosines and sines.
    pub fn new(positions: usize, frequencies: &[f64], scale: f64) -> Self {
        let angles = (0..positions).flat_map(|position| {
            // The frequency is rounded to f32 first, as PyTorch does it.
            frequencies.iter().map(move |&frequency| position as f32 * frequency as f32)
        });
        let scale = scale as f32;
        let (cos, sin) = angles.map(|angle| (angle.cos() * scale, angle.sin() * scale)).unzip();
        Self { half: frequencies.len(), cos, sin }
    }

    /// Number of positions in the table.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Rotates every head of one row (`heads · head_dim` floats) in place for `position`.
    pub fn apply(&self, row: &mut [f32], position: usize) {
        let at = position * self.half..(position + 1) * self.half;
        rotate(row, 2 * self.half, &self.cos[at.clone()], &self.sin[at]);
    }
}
