//! Every operator against finite differences or a direct formula.

use crate::finite_differences::{check, values, values32, weigh};
use crate::*;

const SHAPE: AttentionShape = AttentionShape { heads: 4, kv_heads: 2, head: 6, window: usize::MAX };

#[test]
fn exponential_is_close_to_the_library() {
    for index in -8000..8000 {
        let x = index as f32 * 0.01;
        let (found, expected) = (x.exponential(), x.exp());
        assert!((found - expected).abs() <= expected * 3e-7, "{x}: {found} {expected}");
    }
    assert!((-1e30_f32).exponential() < 1e-37);
    assert!(f32::NAN.exponential().is_nan());
}

#[test]
fn matmul_multiplies_strided_views() {
    let (a, b) = (values(3 * 7, 1), values(5 * 4, 2));
    let mut dst = [1.0; 3 * 8];
    matmul(
        MatrixMut::strided(&mut dst[1..], 3, 5, 8),
        Into::Add,
        Matrix::strided(&a, 3, 4, 7),
        Matrix::new(&b, 5, 4).transposed(),
        2.0,
    );
    for row in 0..3 {
        for col in 0..8 {
            let product: f64 = if (1..6).contains(&col) {
                (0..4).map(|k| a[row * 7 + k] * b[(col - 1) * 4 + k]).sum()
            } else {
                0.0
            };
            assert!((dst[row * 8 + col] - 1.0 - 2.0 * product).abs() < 1e-12);
        }
    }
}

#[test]
#[should_panic(expected = "a 3x5 matrix at stride 5 in 14 elements")]
fn matmul_refuses_short_buffers() {
    let _ = Matrix::new(&[0.0_f32; 14], 3, 5);
}

#[test]
fn linear_gradients() {
    let (rows, input, out) = (5, 7, 3);
    let (x, weight, dy) = (values(rows * input, 1), values(out * input, 2), values(rows * out, 3));
    let loss = |x: &[f64], weight: &[f64]| {
        let mut y = vec![0.0; rows * out];
        linear_forward(&mut y, x, weight, rows, input);
        weigh(&y, &dy)
    };
    let (mut dx, mut dweight) = (vec![9.0; x.len()], vec![0.0; weight.len()]);
    linear_backward_input(&mut dx, Into::Replace, &dy, &weight, rows, input);
    linear_backward_weight(&mut dweight, &dy, &x, rows, input);
    check("x", &x, &dx, |x| loss(x, &weight));
    check("weight", &weight, &dweight, |weight| loss(&x, weight));
}

#[test]
fn embedding_gradients() {
    let (table, dy) = (values(6 * 3, 1), values(4 * 3, 2));
    let tokens = [5, 0, 5, 2];
    let mut dtable = vec![0.0; table.len()];
    embedding_backward(&mut dtable, &dy, &tokens, 3);
    check("table", &table, &dtable, |table| {
        let mut y = vec![0.0; 12];
        embedding_forward(&mut y, table, &tokens, 3);
        weigh(&y, &dy)
    });
}

#[test]
fn rms_norm_gradients() {
    let (rows, width) = (3, 21);
    let (x, weight, dy) = (values(rows * width, 1), values(width, 2), values(rows * width, 3));
    let loss = |x: &[f64], weight: &[f64]| {
        let mut y = vec![0.0; x.len()];
        rms_norm_forward(&mut y, &mut [0.0; 3], x, weight, 1e-5);
        weigh(&y, &dy)
    };
    let mut inverse_rms = [0.0; 3];
    rms_norm_forward(&mut vec![0.0; x.len()], &mut inverse_rms, &x, &weight, 1e-5);
    let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; width]);
    rms_norm_backward(&mut dx, Some(&mut dweight), &dy, &x, &inverse_rms, &weight);
    check("x", &x, &dx, |x| loss(x, &weight));
    check("weight", &weight, &dweight, |weight| loss(&x, weight));
}

#[test]
fn rope_gradients() {
    let (stride, heads) = (30, 4);
    let (x, dy) = (values(3 * stride, 1), values(3 * stride, 2));
    let table = RopeTable::new(12, &[1.0, 0.3, 0.01], 1.2);
    let positions = [0, 4, 11];
    let mut dx = dy.clone();
    rope_backward(&mut dx, stride, heads, &positions, &table);
    check("x", &x, &dx, |x| {
        let mut x = x.to_vec();
        rope_forward(&mut x, stride, heads, &positions, &table);
        weigh(&x, &dy)
    });
}

#[test]
fn rope_rotates_halves_as_hugging_face_does() {
    let table = RopeTable::<f64>::new(4, &[1.0, 0.01], 1.0);
    let mut x = [1.0, 2.0, 3.0, 4.0];
    rope_forward(&mut x, 4, 1, &[3], &table);
    let (fast, slow) = (3.0_f64, 0.03_f64);
    let expected = [
        fast.cos() - 3.0 * fast.sin(),
        2.0 * slow.cos() - 4.0 * slow.sin(),
        3.0 * fast.cos() + fast.sin(),
        4.0 * slow.cos() + 2.0 * slow.sin(),
    ];
    for (found, expected) in x.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12);
    }
}

#[test]
fn swiglu_gradients() {
    let (gate_up, dy) = (values(3 * 10, 1), values(3 * 5, 2));
    let mut gradient = vec![0.0; gate_up.len()];
    swiglu_backward(&mut gradient, &dy, &gate_up, 5);
    check("gate_up", &gate_up, &gradient, |gate_up| {
        let mut y = vec![0.0; 15];
        swiglu_forward(&mut y, gate_up, 5);
        weigh(&y, &dy)
    });
}

fn attend(qkv: &[f64], bounds: &[usize], shape: AttentionShape) -> (Vec<f64>, Vec<f64>) {
    let rows = *bounds.last().unwrap();
    let mut out = vec![0.0; rows * SHAPE.query_width()];
    let mut log_sums = vec![0.0; rows * SHAPE.heads];
    attention_forward(
        &mut out,
        &mut log_sums,
        qkv,
        bounds,
        shape,
        &mut AttentionScratch::default(),
    );
    (out, log_sums)
}

/// Straight from the definition, one row and head at a time.
fn attend_plainly(qkv: &[f64], bounds: &[usize], window: usize) -> Vec<f64> {
    let (stride, head) = (SHAPE.width(), SHAPE.head);
    let mut out = Vec::new();
    for sequence in bounds.windows(2) {
        for row in sequence[0]..sequence[1] {
            for query_head in 0..SHAPE.heads {
                let kv = query_head / 2;
                let first = sequence[0].max((row + 1).saturating_sub(window));
                let at = |row: usize, slot: usize| &qkv[row * stride + slot * head..][..head];
                let scores: Vec<f64> = (first..=row)
                    .map(|key| {
                        (weigh(at(row, query_head), at(key, 4 + kv)) / (head as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                out.extend((0..head).map(|index| {
                    let values = (first..=row).map(|key| at(key, 6 + kv)[index]);
                    scores.iter().zip(values).map(|(score, value)| score * value).sum::<f64>() / sum
                }));
            }
        }
    }
    out
}

#[test]
fn attention_follows_the_definition_over_packed_sequences() {
    let bounds = [0, 1, 71, 71, 140];
    let qkv = values(140 * SHAPE.width(), 1);
    for window in [usize::MAX, 5, 1] {
        let (out, _) = attend(&qkv, &bounds, AttentionShape { window, ..SHAPE });
        for (found, expected) in out.iter().zip(attend_plainly(&qkv, &bounds, window)) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}

#[test]
fn attention_gradients() {
    // The second sequence is longer than a block of queries.
    let windowed = AttentionShape { window: 3, ..SHAPE };
    for (bounds, rows, shape) in [
        (vec![0, 3, 8], 8, SHAPE),
        (vec![0, 2, 68], 68, SHAPE),
        (vec![0, 3, 8], 8, windowed),
        (vec![0, 2, 68], 68, windowed),
    ] {
        let qkv = values(rows * SHAPE.width(), 1);
        let dout = values(rows * SHAPE.query_width(), 2);
        let (out, log_sums) = attend(&qkv, &bounds, shape);
        let mut dqkv = vec![7.0; qkv.len()];
        let mut scratch = AttentionScratch::default();
        attention_backward(&mut dqkv, &dout, &out, &log_sums, &qkv, &bounds, shape, &mut scratch);
        let every = if rows > 8 { 67 } else { 1 };
        let picked: Vec<usize> = (0..qkv.len()).step_by(every).collect();
        let at = |values: &[f64]| picked.iter().map(|&index| values[index]).collect::<Vec<_>>();
        check("qkv", &at(&qkv), &at(&dqkv), |some| {
            let mut qkv = qkv.clone();
            picked.iter().zip(some).for_each(|(&index, value)| qkv[index] = *value);
            weigh(&attend(&qkv, &bounds, shape).0, &dout)
        });
    }
}

#[test]
fn head_loss_gradients() {
    let (rows, width, vocab) = (140, 4, 9);
    let (hidden, head) = (values(rows * width, 1), values(vocab * width, 2));
    let other = values(rows * width, 3);
    let targets: Vec<u32> = (0..rows as u32).map(|row| row * 5 % vocab as u32).collect();
    let weights: Vec<f64> = (0..rows).map(|row| (row % 3) as f64 * 0.5).collect();
    let toward: Vec<f64> = (0..rows).map(|row| (row % 2) as f64 * 0.7).collect();
    for with_reference in [false, true] {
        let reference = with_reference.then_some(Reference { hidden: &other, weights: &toward });
        let loss = |hidden: &[f64], head: &[f64], reference_head: &[f64]| {
            // The reference's distribution is a constant: its head does not move.
            let rows =
                LossRows { hidden, targets: &targets, weights: &weights, reference, soft: None };
            assert!(reference.is_none() || head == reference_head);
            let loss = head_loss(rows, Weight::Dense(head), width, &mut HeadLossScratch::default());
            loss.cross_entropy + loss.divergence
        };
        let rows = LossRows {
            hidden: &hidden,
            targets: &targets,
            weights: &weights,
            reference,
            soft: None,
        };
        let (mut dhidden, mut dhead) = (vec![0.0; hidden.len()], vec![0.0; head.len()]);
        let found = head_loss_backward(
            &mut dhidden,
            Some(&mut dhead),
            rows,
            Weight::Dense(&head),
            width,
            &mut HeadLossScratch::default(),
        );
        let total = found.cross_entropy + found.divergence;
        assert!((total - loss(&hidden, &head, &head)).abs() < 1e-12);
        assert_eq!(found.divergence > 0.1, with_reference);
        check("hidden", &hidden, &dhidden, |hidden| loss(hidden, &head, &head));
        if !with_reference {
            check("head", &head, &dhead, |head| loss(&hidden, head, head));
        }
    }
}

#[test]
fn divergence_from_itself_is_zero() {
    let (hidden, head) = (values(3 * 4, 1), values(9 * 4, 2));
    let rows = LossRows {
        hidden: &hidden,
        targets: &[0, 1, 2],
        weights: &[0.0; 3],
        reference: Some(Reference { hidden: &hidden, weights: &[1.0; 3] }),
        soft: None,
    };
    let mut dhidden = vec![1.0; hidden.len()];
    let (head, mut scratch) = (Weight::Dense(&head), HeadLossScratch::default());
    let loss = head_loss_backward(&mut dhidden, None, rows, head, 4, &mut scratch);
    assert!(loss.divergence.abs() < 1e-12 && loss.cross_entropy == 0.0);
    assert!(dhidden.iter().all(|value| value.abs() < 1e-12));
}

#[test]
fn soft_target_gradients() {
    let (rows, width, vocab) = (130, 4, 9);
    let (hidden, head) = (values(rows * width, 1), values(vocab * width, 2));
    let targets: Vec<u32> = (0..rows as u32).map(|row| row * 5 % vocab as u32).collect();
    // Rejected answers weigh less than nothing.
    let weights: Vec<f64> = (0..rows).map(|row| (row % 3) as f64 * 0.5 - 0.5).collect();
    let toward: Vec<f64> = (0..rows).map(|row| (row % 2) as f64 * 0.7).collect();
    // Two or three entries a row, none in every seventh.
    let (mut bounds, mut tokens, mut probabilities) = (vec![0], Vec::new(), Vec::new());
    for row in 0..rows {
        let some: &[f64] = if row % 2 == 0 { &[0.5, 0.3, 0.2] } else { &[0.9, 0.1] };
        let some = if row % 7 == 3 { &[] } else { some };
        tokens.extend((0..some.len()).map(|entry| ((row + entry * 2) % vocab) as u32));
        probabilities.extend_from_slice(some);
        bounds.push(tokens.len());
    }
    for temperature in [1.0, 2.5] {
        let soft = SoftTargets {
            bounds: &bounds,
            tokens: &tokens,
            probabilities: &probabilities,
            weights: &toward,
            temperature,
        };
        let run = |hidden: &[f64], dhidden: &mut [f64]| {
            let soft = Some(soft);
            let rows =
                LossRows { hidden, targets: &targets, weights: &weights, reference: None, soft };
            let (head, mut scratch) = (Weight::Dense(&head), HeadLossScratch::default());
            let loss = head_loss_backward(dhidden, None, rows, head, width, &mut scratch);
            assert_eq!(loss, head_loss(rows, head, width, &mut scratch));
            loss
        };
        let mut dhidden = vec![0.0; hidden.len()];
        let found = run(&hidden, &mut dhidden);
        // The definition, with the sum over the teacher's tokens.
        let mut expected = 0.0;
        for row in (0..rows).filter(|row| row % 7 != 3) {
            let at = |token: usize| {
                let hidden = &hidden[row * width..][..width];
                (weigh(hidden, &head[token * width..][..width]) / temperature).exp()
            };
            let sum: f64 = (0..vocab).map(at).sum();
            let entries = bounds[row]..bounds[row + 1];
            let divergence: f64 = entries
                .map(|entry| {
                    let p = probabilities[entry];
                    p * (p / (at(tokens[entry] as usize) / sum)).ln()
                })
                .sum();
            expected += toward[row] * temperature * temperature * divergence;
        }
        assert!((found.divergence - expected).abs() < 1e-9, "{found:?} {expected}");
        check("hidden", &hidden, &dhidden, |hidden| {
            let loss = run(hidden, &mut vec![0.0; hidden.len()]);
            loss.cross_entropy + loss.divergence
        });
    }
    let (mut logs, mut scratch) = (vec![0.0; rows], HeadLossScratch::default());
    head_log_probabilities(&mut logs, &hidden, &targets, Weight::Dense(&head), width, &mut scratch);
    let (ones, none) = (vec![1.0; rows], None);
    let rows = LossRows {
        hidden: &hidden,
        targets: &targets,
        weights: &ones,
        reference: None,
        soft: none,
    };
    let loss = head_loss(rows, Weight::Dense(&head), width, &mut scratch).cross_entropy;
    assert!((loss + logs.iter().sum::<f64>()).abs() < 1e-9);
}

#[test]
fn adamw_takes_the_published_step() {
    let step = AdamW {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.5,
        step: 1,
    };
    let (mut weights, mut mean, mut square) = ([2.0_f64], [0.0], [0.0]);
    adamw_step(&mut weights, &mut mean, &mut square, &[6.0], 0.5, &step);
    // The first step's direction is the gradient's sign: 2 · (1 − 0.05) − 0.1.
    assert!((weights[0] - 1.8).abs() < 1e-8, "{weights:?}");
    assert!((mean[0] - 0.3).abs() < 1e-12 && (square[0] - 0.09).abs() < 1e-12);
    adamw_step(&mut weights, &mut mean, &mut square, &[0.0], 1.0, &AdamW { step: 2, ..step });
    let (mean2, square2) = (0.27 / 0.19, 0.0891 / (1.0 - 0.99_f64.powi(2)));
    let expected = 1.8 * 0.95 - 0.1 * mean2 / square2.sqrt();
    assert!((weights[0] - expected).abs() < 1e-7, "{weights:?} {expected}");
}

#[test]
fn orthogonalized_matrices_have_singular_values_near_one() {
    for (rows, cols) in [(6, 10), (10, 6), (8, 8)] {
        let mut matrix = values(rows * cols, 5);
        orthogonalize(&mut matrix, rows, cols, &mut MuonScratch::default());
        let energy = sum_of_squares(&matrix) / rows.min(cols) as f64;
        assert!((0.4..1.5).contains(&energy), "{energy}");
        // No direction is stretched: |X v| ≤ 1.3 |v|.
        let v = values(cols, 9);
        let mut product = vec![0.0; rows];
        linear_forward(&mut product, &v, &matrix, 1, cols);
        assert!(sum_of_squares(&product) < 1.7 * sum_of_squares(&v));
    }
    let mut zero = [0.0_f64; 6];
    orthogonalize(&mut zero, 2, 3, &mut MuonScratch::default());
    assert_eq!(zero, [0.0; 6]);
}

#[test]
fn single_precision_agrees_with_double() {
    let rows = 70;
    let qkv = values32(rows * SHAPE.width(), 1);
    let wide: Vec<f64> = qkv.iter().map(|value| f64::from(*value)).collect();
    let (expected, _) = attend(&wide, &[0, rows], SHAPE);
    let mut out = vec![0.0_f32; rows * SHAPE.query_width()];
    let mut log_sums = vec![0.0; rows * SHAPE.heads];
    let mut scratch = AttentionScratch::default();
    attention_forward(&mut out, &mut log_sums, &qkv, &[0, rows], SHAPE, &mut scratch);
    for (found, expected) in out.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
    }
}
