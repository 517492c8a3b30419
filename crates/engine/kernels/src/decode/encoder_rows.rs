//! Row-wise operators of encoders: layer normalization, GELU, softmax.

use super::activations::exp;
use super::instruction_set::{dispatched, multiply_add};
use super::lane::LANE;

dispatched! {
    /// `x = (x - mean(x)) / sqrt(var(x) + eps) · weight + bias` for rows of `weight.len()` floats;
    /// the variance is that of the row itself (Ba et al. 2016).
    pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) = layer_norm_rows;
}

dispatched! {
    /// `x = x · Φ(x)`, element by element, `Φ` being the normal distribution function (Hendrycks and
    /// Gimpel 2016, the exact form).
    pub fn gelu(x: &mut [f32]) = gelu_all;
}

dispatched! {
    /// Softmax of rows of `width` floats.
    pub fn softmax_rows(x: &mut [f32], width: usize) = softmax_each;
}

/// The sum of `of(value)`, in lanes, always in the same order.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANE];
    let mut lanes = row.chunks_exact(LANE);
    for lane in &mut lanes {
        for (sum, &value) in sums.iter_mut().zip(lane) {
            *sum = of(value, *sum);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(lanes.remainder()) {
        *sum = of(value, *sum);
    }
    sums.iter().sum()
}

#[inline(always)]
fn layer_norm_rows<const FUSED: bool>(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    for row in x.chunks_exact_mut(width) {
        let mean = sum(row, |value, sum| value + sum) / width as f32;
        let squares = sum(row, |value, sum| {
            let apart = value - mean;
            multiply_add::<FUSED>(apart, apart, sum)
        });
        let scale = 1.0 / (squares / width as f32 + eps).sqrt();
        for ((value, &weight), &bias) in row.iter_mut().zip(weight).zip(bias) {
            *value = multiply_add::<FUSED>((*value - mean) * scale, weight, bias);
        }
    }
}

#[inline(always)]
fn gelu_all<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        // erf by Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7.
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / multiply_add::<FUSED>(0.327_591_1, z, 1.0);
        let mut p = 1.061_405_4;
        for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
            p = multiply_add::<FUSED>(p, t, coefficient);
        }
        let beyond = p * t * exp::<FUSED>(-z * z);
        // Beyond is the mass outside ±x, both sides.
        let below = if *x < 0.0 { 0.5 * beyond } else { 1.0 - 0.5 * beyond };
        *x *= below;
    }
}

#[inline(always)]
fn softmax_each<const FUSED: bool>(x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width.max(1)) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut *row {
            *value = exp::<FUSED>(*value - most);
        }
        let scale = 1.0 / sum(row, |value, sum| value + sum);
        for value in row {
            *value *= scale;
        }
    }
}
