//! Choosing scales and integers, one block at a time (`quantize_row_*_ref` in `ggml-quants.c`).

use half::f16;

use super::{CHUNK, SUPER, k_scales};

/// Below this a super-block's scales count as zero.
const SMALLEST_SCALE: f32 = 1e-15;

pub(super) fn q8_0(weights: &[f32], block: &mut [u8]) {
    let largest = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    put_half(block, 0, scale);
    for (quant, weight) in block[2..].iter_mut().zip(weights) {
        *quant = ((weight * inverse).round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    }
}

pub(super) fn q4_0(weights: &[f32], block: &mut [u8]) {
    let (scale, quants) = symmetric(weights, 8);
    put_half(block, 0, scale);
    put_nibbles(&mut block[2..18], &quants);
}

pub(super) fn q5_0(weights: &[f32], block: &mut [u8]) {
    let (scale, quants) = symmetric(weights, 16);
    put_half(block, 0, scale);
    let high = (0..CHUNK).fold(0_u32, |bits, at| bits | u32::from(quants[at] >> 4) << at);
    block[2..6].copy_from_slice(&high.to_le_bytes());
    put_nibbles(&mut block[6..22], &quants);
}

pub(super) fn q4_k(weights: &[f32], block: &mut [u8]) {
    let quants = with_minimums(weights, block, &Search { levels: 15, first: -1.0, steps: 20 });
    put_k_nibbles(&mut block[16..144], &quants);
}

pub(super) fn q5_k(weights: &[f32], block: &mut [u8]) {
    let quants = with_minimums(weights, block, &Search { levels: 31, first: -0.5, steps: 15 });
    for at in 0..CHUNK {
        block[16 + at] = (0..8).fold(0, |bits, part| bits | quants[part * CHUNK + at] >> 4 << part);
    }
    put_k_nibbles(&mut block[48..176], &quants);
}

pub(super) fn q6_k(weights: &[f32], block: &mut [u8]) {
    let (groups, _) = weights.as_chunks::<16>();
    let mut scales = [0.0_f32; 16];
    let mut most = 0.0_f32;
    for (scale, group) in scales.iter_mut().zip(groups) {
        *scale = signed_scale(group);
        if scale.abs() > most.abs() {
            most = *scale;
        }
    }
    block.fill(0);
    if most.abs() < SMALLEST_SCALE {
        return;
    }
    let inverse = -128.0 / most;
    let delta = put_half(block, 208, 1.0 / inverse);
    // Where a group's scale is zero, its integers do not matter: ggml writes zeros.
    let mut quants = [0_u8; SUPER];
    for (at, group) in groups.iter().enumerate() {
        let scale = nearest(inverse * scales[at]).min(127) as i8;
        block[192 + at] = scale.cast_unsigned();
        let step = delta * f32::from(scale);
        if step != 0.0 {
            for (quant, weight) in quants[at * 16..].iter_mut().zip(group) {
                *quant = (nearest(weight / step).clamp(-32, 31) + 32) as u8;
            }
        }
    }
    for half in 0..2 {
        let part = |part: usize, at: usize| quants[half * 128 + part * CHUNK + at];
        for at in 0..CHUNK {
            block[half * 64 + at] = part(0, at) & 15 | (part(2, at) & 15) << 4;
            block[half * 64 + 32 + at] = part(1, at) & 15 | (part(3, at) & 15) << 4;
            block[128 + half * 32 + at] =
                (0..4).fold(0, |bits, of| bits | part(of, at) >> 4 << (2 * of));
        }
    }
}

/// The weight that is largest in size becomes the lowest integer, which has no positive counterpart.
fn symmetric(weights: &[f32], levels: i8) -> (f32, [u8; CHUNK]) {
    let largest =
        weights.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
    let scale = largest / -f32::from(levels);
    let inverse = inverse(scale);
    let shift = f32::from(levels) + 0.5;
    let top = levels as u8 * 2 - 1;
    (scale, std::array::from_fn(|at| ((weights[at] * inverse + shift) as i8 as u8).min(top)))
}

/// How scales and minimums are searched for.
struct Search {
    levels: i32,
    /// First change of the number of levels that is tried; each next is 0.1 higher.
    first: f32,
    steps: i32,
}

/// Scales, minimums and integers of Q4_K and Q5_K; writes all but the integers.
fn with_minimums(weights: &[f32], block: &mut [u8], search: &Search) -> [u8; SUPER] {
    let (parts, _) = weights.as_chunks::<CHUNK>();
    let (mut scales, mut minimums) = ([0.0_f32; 8], [0.0_f32; 8]);
    for (at, part) in parts.iter().enumerate() {
        (scales[at], minimums[at]) = scale_and_minimum(part, search);
    }
    let most = |of: [f32; 8]| {
        of.into_iter().fold(0.0_f32, |most, one| if one > most { one } else { most })
    };
    let (most_scale, most_minimum) = (most(scales), most(minimums));
    let six_bits = |value: f32, most: f32| {
        let inverse = if most > 0.0 { 63.0 / most } else { 0.0 };
        nearest(inverse * value).min(63) as u8
    };
    let small_scales = scales.map(|scale| six_bits(scale, most_scale));
    let small_minimums = minimums.map(|minimum| six_bits(minimum, most_minimum));
    let delta = put_half(block, 0, most_scale / 63.0);
    let minimum_delta = put_half(block, 2, most_minimum / 63.0);
    k_scales::put(&mut block[4..16], small_scales, small_minimums);
    let mut quants = [0; SUPER];
    for (at, part) in parts.iter().enumerate() {
        let step = delta * f32::from(small_scales[at]);
        if step == 0.0 {
            continue;
        }
        let minimum = minimum_delta * f32::from(small_minimums[at]);
        for (quant, weight) in quants[at * CHUNK..].iter_mut().zip(part) {
            *quant = nearest((weight + minimum) / step).clamp(0, search.levels) as u8;
        }
    }
    quants
}

/// The scale and the (negated) minimum that fit 32 weights best, errors counting by size
/// (`make_qkx2_quants`).
fn scale_and_minimum(weights: &[f32; CHUNK], search: &Search) -> (f32, f32) {
    let squares = weights.iter().fold(0.0_f32, |sum, weight| sum + weight * weight);
    let average = (squares / CHUNK as f32).sqrt();
    let importance = weights.map(|weight| average + weight.abs());
    let (mut low, mut high) = (weights[0], weights[0]);
    let (mut sum_importance, mut sum_weights) = (0.0_f32, 0.0_f32);
    for (&weight, &importance) in weights.iter().zip(&importance) {
        low = if weight < low { weight } else { low };
        high = if weight > high { weight } else { high };
        sum_importance += importance;
        sum_weights += importance * weight;
    }
    let mut low = if low > 0.0 { 0.0 } else { low };
    if high == low {
        return (0.0, -low);
    }
    let levels = search.levels;
    let integer = |inverse: f32, low: f32, weight: f32| {
        nearest(inverse * (weight - low)).clamp(0, levels) as f32
    };
    // Integers are counted from `base`, and stand for weights from `low` on.
    let error = |inverse: f32, base: f32, scale: f32, low: f32| {
        weights.iter().zip(&importance).fold(0.0_f32, |sum, (&weight, importance)| {
            let difference = scale * integer(inverse, base, weight) + low - weight;
            sum + importance * (difference * difference)
        })
    };
    let inverse = levels as f32 / (high - low);
    let mut scale = 1.0 / inverse;
    let mut least = error(inverse, low, scale, low);
    for step in 0..=search.steps {
        let inverse = (search.first + 0.1 * step as f32 + levels as f32) / (high - low);
        let (mut sum, mut sum_squares, mut sum_products) = (0.0_f32, 0.0_f32, 0.0_f32);
        for (&weight, &importance) in weights.iter().zip(&importance) {
            let quant = integer(inverse, low, weight);
            sum += importance * quant;
            sum_squares += importance * quant * quant;
            sum_products += importance * quant * weight;
        }
        let determinant = sum_importance * sum_squares - sum * sum;
        if determinant > 0.0 {
            let mut this_scale = (sum_importance * sum_products - sum_weights * sum) / determinant;
            let mut this_low = (sum_squares * sum_weights - sum * sum_products) / determinant;
            if this_low > 0.0 {
                this_low = 0.0;
                this_scale = sum_products / sum_squares;
            }
            let this_error = error(inverse, low, this_scale, this_low);
            if this_error < least {
                (least, scale, low) = (this_error, this_scale, this_low);
            }
        }
    }
    (scale, -low)
}

/// The scale that fits 16 weights best with integers from −32 to 31, errors counting by square
/// (`make_qx_quants`).
fn signed_scale(weights: &[f32; 16]) -> f32 {
    let largest =
        weights.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
    if largest.abs() < SMALLEST_SCALE {
        return 0.0;
    }
    let fit = |inverse: f32| {
        weights.iter().fold((0.0_f32, 0.0_f32), |(products, squares), &weight| {
            let quant = nearest(inverse * weight).clamp(-32, 31) as f32;
            let importance = weight * weight;
            (products + importance * weight * quant, squares + importance * quant * quant)
        })
    };
    let (products, squares) = fit(-32.0 / largest);
    let mut scale = if squares != 0.0 { products / squares } else { 0.0 };
    let mut best = scale * products;
    for step in (-9..=9).filter(|step| *step != 0) {
        let (products, squares) = fit(-(32.0 + 0.1 * step as f32) / largest);
        if squares > 0.0 && products * products > best * squares {
            scale = products / squares;
            best = scale * products;
        }
    }
    scale
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The nearest integer, halves to even.
fn nearest(value: f32) -> i32 {
    value.round_ties_even() as i32
}

/// Writes a number in 16 bits; returns what was written.
fn put_half(block: &mut [u8], at: usize, value: f32) -> f32 {
    let half = f16::from_f32(value);
    block[at..at + 2].copy_from_slice(&half.to_le_bytes());
    half.to_f32()
}

fn put_nibbles(bytes: &mut [u8], quants: &[u8; CHUNK]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = quants[at] & 15 | (quants[at + 16] & 15) << 4;
    }
}

fn put_k_nibbles(bytes: &mut [u8], quants: &[u8; SUPER]) {
    for (bytes, quants) in bytes.chunks_exact_mut(CHUNK).zip(quants.chunks_exact(2 * CHUNK)) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = quants[at] & 15 | (quants[at + CHUNK] & 15) << 4;
        }
    }
}
