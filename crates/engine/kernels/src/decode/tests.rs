//! Each operator against a plain computation in f64, and against itself in other batches.

use super::packed_linear::variants;
use super::paged_attention::attend_plainly;
use super::{
    BLOCK_TOKENS, BlockShape, KvBlock, LinearPacker, PackError, PackedLinear, Q8Rows, Queries,
    RopeTable, Strided, StridedMut, WeightFormat, WeightMemory, add_rows, attend, gelu, layer_norm,
    rms_norm, softmax_rows, swiglu,
};
use crate::blocks::BlockFormat;

/// A small linear congruential generator: values in [-1, 1), the same on every machine.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(
            difference <= tolerance * (1.0 + expected.abs()),
            "at {at}: {found} instead of {expected}"
        );
    }
}

fn product(x: &[f32], weight: &[f32], rows: usize, outputs: usize, inputs: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for row in 0..rows {
        for output in 0..outputs {
            let dot = (0..inputs).map(|at| {
                f64::from(x[row * inputs + at]) * f64::from(weight[output * inputs + at])
            });
            y.push(dot.sum());
        }
    }
    y
}

const Q8: WeightFormat = WeightFormat::Blocks(BlockFormat::Q8_0);

/// One operator of every format, and one that is stacked of several.
fn every_kind(weight: &[f32], outputs: usize, inputs: usize) -> Vec<PackedLinear> {
    let formats = BlockFormat::ALL.into_iter().filter(|format| format.fits(inputs));
    let formats = formats.map(WeightFormat::Blocks).chain([WeightFormat::F32, WeightFormat::F16]);
    let pack = |format, rows: std::ops::Range<usize>| {
        let part = &weight[rows.start * inputs..rows.end * inputs];
        PackedLinear::new(format, part, rows.len(), inputs, &mut WeightMemory::default()).unwrap()
    };
    let mut all: Vec<_> = formats.map(|format| pack(format, 0..outputs)).collect();
    let (first, second) = (outputs / 3, outputs / 2);
    let parts = [
        pack(Q8, 0..first),
        pack(WeightFormat::F32, first..second),
        pack(WeightFormat::Blocks(BlockFormat::Q5_0), second..outputs),
    ];
    all.push(PackedLinear::stacked(parts).unwrap());
    all
}

fn run(linear: &PackedLinear, x: &[f32], rows: usize) -> Vec<f32> {
    let mut y = vec![f32::NAN; rows * linear.outputs()];
    linear.store(
        Strided { data: x, stride: linear.inputs() },
        rows,
        StridedMut { data: &mut y, stride: linear.outputs() },
    );
    y
}

#[test]
fn a_packed_product_equals_the_plain_one_at_every_size() {
    for (rows, outputs, inputs) in [(1, 1, 1), (1, 33, 7), (3, 32, 32), (13, 70, 48), (31, 16, 160)]
    {
        let weight = numbers(1, outputs * inputs);
        let x = numbers(2, rows * inputs);
        let linear = PackedLinear::new(
            WeightFormat::F32,
            &weight,
            outputs,
            inputs,
            &mut WeightMemory::default(),
        )
        .unwrap();
        let expected = product(&x, &weight, rows, outputs, inputs);
        close(&run(&linear, &x, rows), &expected, 1e-5);
    }
}

#[test]
fn a_quantized_product_is_that_of_the_rounded_weights_at_every_size() {
    for (rows, outputs, inputs) in [(1, 33, 32), (13, 70, 96), (31, 16, 160), (7, 40, 512)] {
        let weight = numbers(1, outputs * inputs);
        let x: Vec<f32> = numbers(2, rows * inputs).iter().map(|x| x * 40.0).collect();
        for linear in every_kind(&weight, outputs, inputs) {
            let mut rounded = vec![0.0; outputs * inputs];
            for (output, row) in rounded.chunks_mut(inputs).enumerate() {
                linear.row(output, row);
            }
            let expected = product(&x, &rounded, rows, outputs, inputs);
            // Activations are off by half of a 127th of their largest at most, at random.
            let spread = 40.0 * (inputs as f64).sqrt() / 254.0;
            for (found, expected) in run(&linear, &x, rows).iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1.5 * spread, "{found} {expected}");
            }
        }
    }
}

#[test]
fn activations_that_are_whole_numbers_give_the_exact_product() {
    let (outputs, inputs) = (64, 512);
    let weight = numbers(1, outputs * inputs);
    // Each 32 have a largest of 127, so that nothing is rounded.
    let x: Vec<f32> = numbers(2, inputs)
        .iter()
        .enumerate()
        .map(|(at, x)| if at % 32 == 3 { -127.0 } else { (x * 100.0).round() })
        .collect();
    for linear in every_kind(&weight, outputs, inputs) {
        let mut rounded = vec![0.0; outputs * inputs];
        for (output, row) in rounded.chunks_mut(inputs).enumerate() {
            linear.row(output, row);
        }
        let expected = product(&x, &rounded, 1, outputs, inputs);
        close(&run(&linear, &x, 1), &expected, 2e-4);
    }
}

#[test]
fn packing_row_by_row_equals_packing_at_once() {
    let (outputs, inputs) = (50, 512);
    let weight = numbers(3, outputs * inputs);
    let x = numbers(4, inputs);
    for format in BlockFormat::ALL {
        let whole = PackedLinear::new(
            WeightFormat::Blocks(format),
            &weight,
            outputs,
            inputs,
            &mut WeightMemory::default(),
        )
        .unwrap();
        let packer = || {
            LinearPacker::new(
                WeightFormat::Blocks(format),
                outputs,
                inputs,
                &mut WeightMemory::default(),
            )
            .unwrap()
        };
        let (mut by_row, mut by_blocks) = (packer(), packer());
        let mut blocks = vec![0; format.row_bytes(weight.len())];
        format.quantize(&weight, &mut blocks);
        for rows in weight.chunks(3 * inputs) {
            by_row.push(rows).unwrap();
        }
        for rows in blocks.chunks(7 * format.row_bytes(inputs)) {
            by_blocks.push_blocks(rows).unwrap();
        }
        assert!(by_row.push(&weight[..inputs]).is_err(), "too many rows");
        let expected = run(&whole, &x, 1);
        assert_eq!(run(&by_row.finish().unwrap(), &x, 1), expected);
        assert_eq!(run(&by_blocks.finish().unwrap(), &x, 1), expected);
        let mut short = packer();
        short.push(&weight[..inputs]).unwrap();
        assert!(short.push(&weight[..inputs + 1]).is_err());
        assert!(short.finish().is_err(), "rows are missing");
    }
}

#[test]
fn a_row_is_the_same_to_the_bit_in_every_batch() {
    let (outputs, inputs, rows) = (96, 512, 45);
    let weight = numbers(3, outputs * inputs);
    let x = numbers(4, rows * inputs);
    for linear in every_kind(&weight, outputs, inputs) {
        let together = run(&linear, &x, rows);
        for (row, expected) in x.chunks(inputs).zip(together.chunks(outputs)) {
            assert_eq!(run(&linear, row, 1), expected);
        }
    }
}

#[test]
fn ranges_of_outputs_make_up_the_whole() {
    let (outputs, inputs, rows) = (140, 256, 9);
    let weight = numbers(3, outputs * inputs);
    let x = numbers(4, rows * inputs);
    for linear in every_kind(&weight, outputs, inputs) {
        let whole = run(&linear, &x, rows);
        for parts in [1, 2, 3, 100] {
            let mut y = vec![f32::NAN; rows * outputs];
            let mut rounded = Q8Rows::default();
            let input = linear.prepare(Strided { data: &x, stride: inputs }, rows, &mut rounded);
            let y_rows = StridedMut { data: &mut y, stride: outputs };
            let columns: Vec<_> = y_rows.split_columns(rows, linear.ranges(parts)).collect();
            assert!(columns.len() <= parts);
            // In whatever order, as threads come.
            for columns in columns.into_iter().rev() {
                linear.run(input, columns, false);
            }
            assert_eq!(y, whole, "{parts} parts");
        }
    }
}

#[test]
#[should_panic(expected = "columns overlap")]
fn columns_that_overlap_are_refused() {
    let mut y = [0.0; 20];
    let rows = StridedMut { data: &mut y, stride: 10 };
    let _: Vec<_> = rows.split_columns(2, [0..6, 5..10]).collect();
}

#[test]
fn instruction_sets_agree() {
    let (outputs, inputs) = (96, 512);
    let weight = numbers(5, outputs * inputs);
    let x = numbers(6, inputs);
    for linear in every_kind(&weight, outputs, inputs) {
        let best = run(&linear, &x, 1);
        let expected: Vec<f64> = best[..32].iter().map(|&value| f64::from(value)).collect();
        let baseline = variants::baseline_lanes(&linear, &x);
        close(&[baseline[0].0, baseline[1].0].concat(), &expected, 1e-4);
        if let Some(lanes) = variants::avx2_lanes(&linear, &x) {
            assert_eq!([lanes[0].0, lanes[1].0].concat(), best[..32]);
        }
    }
}

#[test]
fn q8_rounds_each_weight_by_at_most_half_a_step_and_a_half_precision_scale() {
    let (outputs, inputs) = (40, 64);
    let weight = numbers(7, outputs * inputs);
    let linear =
        PackedLinear::new(Q8, &weight, outputs, inputs, &mut WeightMemory::default()).unwrap();
    assert!(
        linear.bytes() * 3
            < PackedLinear::new(
                WeightFormat::F32,
                &weight,
                outputs,
                inputs,
                &mut WeightMemory::default()
            )
            .unwrap()
            .bytes()
    );
    // Unit vectors read the weights back, column by column.
    for input in 0..inputs {
        let mut unit = vec![0.0; inputs];
        unit[input] = 1.0;
        for (output, &found) in run(&linear, &unit, 1).iter().enumerate() {
            let block = input / 32 * 32;
            let values = &weight[output * inputs + block..output * inputs + block + 32];
            let largest = values.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            let difference = (found - weight[output * inputs + input]).abs();
            assert!(difference <= largest / 127.0 * 0.5 + largest * 0.001, "{difference}");
        }
    }
    assert_eq!(
        PackedLinear::new(Q8, &weight[..40 * 20], 40, 20, &mut WeightMemory::default())
            .unwrap_err(),
        PackError::Blocks { format: BlockFormat::Q8_0, inputs: 20 }
    );
    assert!(
        PackedLinear::new(WeightFormat::F32, &weight, 3, 3, &mut WeightMemory::default()).is_err()
    );
}

#[test]
fn adding_writes_into_a_column_range_of_a_wider_row() {
    let weight = numbers(8, 4 * 8);
    let x = numbers(9, 3 * 8);
    let linear =
        PackedLinear::new(WeightFormat::F32, &weight, 4, 8, &mut WeightMemory::default()).unwrap();
    let mut wide = [1.0; 3 * 10];
    linear.add(Strided { data: &x, stride: 8 }, 3, StridedMut { data: &mut wide[5..], stride: 10 });
    let expected = product(&x, &weight, 3, 4, 8);
    for row in 0..3 {
        assert_eq!(wide[row * 10..row * 10 + 5], [1.0; 5]);
        let shifted: Vec<f64> = expected[row * 4..row * 4 + 4].iter().map(|y| y + 1.0).collect();
        close(&wide[row * 10 + 5..row * 10 + 9], &shifted, 1e-5);
        assert_eq!(wide[row * 10 + 9], 1.0);
    }
}

#[test]
fn attention_equals_a_plain_softmax_alone_and_in_company() {
    for (heads, kv_heads, head_dim, window) in [
        (4, 2, 32, usize::MAX),
        (2, 1, 8, usize::MAX),
        (3, 3, 40, usize::MAX),
        (1, 1, 128, usize::MAX),
        (2, 2, 33, usize::MAX),
        (4, 2, 32, 20),
        (4, 4, 8, 16),
        (2, 1, 128, 1),
    ] {
        let shape = BlockShape { layers: 2, kv_heads, head_dim };
        let total = 2 * BLOCK_TOKENS + 5;
        let keys = numbers(10, total * kv_heads * head_dim);
        let values = numbers(11, total * kv_heads * head_dim);
        let width = kv_heads * head_dim;
        let mut blocks: Vec<KvBlock> = (0..3).map(|_| KvBlock::new(shape)).collect();
        for token in 0..total {
            let range = token * width..(token + 1) * width;
            blocks[token / BLOCK_TOKENS].write(
                shape,
                1,
                token % BLOCK_TOKENS,
                &keys[range.clone()],
                &values[range],
            );
        }
        let blocks: Vec<&KvBlock> = blocks.iter().collect();
        let wide = heads * head_dim;
        // Rows lie apart, as they do between keys and values.
        let stride = wide + 3;
        let q: Vec<f32> = numbers(12, total * stride).iter().map(|q| q * 6.0).collect();
        let queries = |first: usize, count: usize| Queries {
            rows: Strided { data: &q[first * stride..], stride },
            count,
            heads,
            first_kv_head: 0,
            kv_heads: shape.kv_heads,
            first_length: first + 1,
            window,
        };
        let mut together = vec![f32::NAN; total * wide];
        attend(shape, 1, &blocks, queries(0, total), &mut together, &mut Vec::new());
        let mut plainly = vec![f32::NAN; total * wide];
        attend_plainly(shape, 1, &blocks, queries(0, total), &mut plainly);
        let mut expected = Vec::new();
        for token in 0..total {
            let mut alone = vec![f32::NAN; wide];
            attend(shape, 1, &blocks, queries(token, 1), &mut alone, &mut Vec::new());
            assert_eq!(alone, together[token * wide..][..wide], "token {token}");
            let group = heads / kv_heads;
            for first_kv_head in 0..kv_heads {
                let of_head = first_kv_head * group * head_dim;
                let part = Queries {
                    rows: Strided { data: &q[token * stride + of_head..], stride },
                    heads: group,
                    first_kv_head,
                    kv_heads: 1,
                    ..queries(token, 1)
                };
                let mut out = vec![f32::NAN; group * head_dim];
                attend(shape, 1, &blocks, part, &mut out, &mut Vec::new());
                assert_eq!(out, alone[of_head..][..group * head_dim], "head {first_kv_head}");
            }
            for head in 0..heads {
                let q = &q[token * stride + head * head_dim..][..head_dim];
                let at = |token: usize| (token * kv_heads + head / (heads / kv_heads)) * head_dim;
                let seen = (token + 1).saturating_sub(window)..token + 1;
                expected.extend(attend_simply(q, &keys, &values, at, seen));
            }
        }
        close(&together, &expected, 2e-6);
        close(&plainly, &expected, 2e-6);
    }
}

/// Softmax attention of one query vector over the tokens in `seen`; `at` says where a token's vectors lie.
fn attend_simply(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    at: impl Fn(usize) -> usize,
    seen: std::ops::Range<usize>,
) -> Vec<f64> {
    let scores: Vec<f64> = seen
        .clone()
        .map(|token| {
            let dot = (0..q.len()).map(|d| f64::from(q[d]) * f64::from(keys[at(token) + d]));
            dot.sum::<f64>() / (q.len() as f64).sqrt()
        })
        .collect();
    let most = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..q.len())
        .map(|d| {
            let tokens = seen.clone().zip(&weights);
            tokens.map(|(t, weight)| weight / sum * f64::from(values[at(t) + d])).sum()
        })
        .collect()
}

#[test]
fn normalization_and_swiglu_equal_their_formulas() {
    let (rows, width) = (3, 40);
    let x = numbers(13, rows * width);
    let weight = numbers(14, width);
    let mut out = vec![0.0; rows * width];
    rms_norm(&x, &weight, 1e-5, &mut out);
    let expected: Vec<f64> = x
        .chunks(width)
        .flat_map(|row| {
            let mean = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (mean + 1e-5).sqrt();
            row.iter().zip(&weight).map(move |(&v, &w)| f64::from(v) * scale * f64::from(w))
        })
        .collect();
    close(&out, &expected, 1e-6);

    let gate_up: Vec<f32> = numbers(15, rows * 2 * width).iter().map(|v| v * 30.0).collect();
    let mut out = vec![0.0; rows * width];
    swiglu(&gate_up, width, &mut out);
    let expected: Vec<f64> = gate_up
        .chunks(2 * width)
        .flat_map(|row| {
            let (gate, up) = row.split_at(width);
            gate.iter()
                .zip(up)
                .map(|(&g, &u)| f64::from(g) / (1.0 + (-f64::from(g)).exp()) * f64::from(u))
        })
        .collect();
    close(&out, &expected, 1e-6);

    let mut sum = vec![1.0, 2.0, 3.0];
    add_rows(&mut sum, &[0.5, 0.25, -3.0]);
    assert_eq!(sum, [1.5, 2.25, 0.0]);
}

#[test]
fn exponentials_are_accurate_and_saturate() {
    for step in -860..=880 {
        let x = step as f32 * 0.1;
        let found = f64::from(super::activations::exp::<false>(x));
        let expected = f64::from(x).exp();
        assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) = {found}");
    }
    assert!(super::activations::exp::<false>(-1e9) < 1.3e-38);
    assert!(super::activations::exp::<false>(1e9).is_finite());
}

#[test]
fn rotation_keeps_lengths_and_depends_on_the_distance_only() {
    let dim = 16;
    let frequencies: Vec<f64> = (0..dim / 2).map(|at| 0.5_f64.powi(at as i32)).collect();
    let table = RopeTable::new(64, &frequencies, 1.0);
    assert_eq!(table.positions(), 64);
    let dot = |q_at: usize, k_at: usize| {
        let (mut q, mut k) = (numbers(16, dim), numbers(17, dim));
        table.apply(&mut q, q_at);
        table.apply(&mut k, k_at);
        q.iter().zip(&k).map(|(a, b)| a * b).sum::<f32>()
    };
    assert!((dot(5, 2) - dot(45, 42)).abs() < 1e-5);
    assert!((dot(5, 2) - dot(5, 3)).abs() > 1e-3);
    let mut row = numbers(18, dim);
    table.apply(&mut row, 0);
    assert_eq!(row, numbers(18, dim));
}

/// `erf` by its Taylor series, which converges everywhere; in f64 it is exact enough up to 5.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn rows_of_encoders_equal_their_formulas() {
    let mut x: Vec<f32> = numbers(31, 4 * 37).iter().map(|value| value * 6.0).collect();
    let expected: Vec<f64> = x
        .iter()
        .map(|&x| 0.5 * f64::from(x) * (1.0 + erf(f64::from(x) / std::f64::consts::SQRT_2)))
        .collect();
    let source = x.clone();
    gelu(&mut x);
    close(&x, &expected, 1e-6);

    let (weight, bias) = (numbers(32, 37), numbers(33, 37));
    let mut out = source.clone();
    layer_norm(&mut out, &weight, &bias, 1e-5);
    let mut expected = Vec::new();
    for row in source.chunks(37) {
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / 37.0;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 37.0;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        expected.extend(row.iter().zip(&weight).zip(&bias).map(|((&x, &weight), &bias)| {
            (f64::from(x) - mean) * scale * f64::from(weight) + f64::from(bias)
        }));
    }
    close(&out, &expected, 1e-5);

    let mut rows: Vec<f32> = source.iter().map(|x| x * 10.0).collect();
    let expected: Vec<f64> = rows
        .chunks(37)
        .flat_map(|row| {
            let most = row.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f64> =
                row.iter().map(|&x| (f64::from(x) - f64::from(most)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(move |weight| weight / sum).collect::<Vec<_>>()
        })
        .collect();
    softmax_rows(&mut rows, 37);
    close(&rows, &expected, 1e-6);
}
