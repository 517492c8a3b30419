//! Blocks against the bytes that ggml itself makes, and against the weights that they stand for.

use super::BlockFormat;

/// `ggml_quantize_chunk` of ggml 0.25.3 without an importance matrix, of [`weights`], in the order of
/// [`BlockFormat::ALL`].
const GGML: &[u8] = include_bytes!("ggml_blocks.bin");

/// Values of many sizes, with parts that are zero or positive only.
fn weights() -> Vec<f32> {
    let mut state = 21_u64.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut weights: Vec<f32> = (0..2048)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            value * value * value * 0.1
        })
        .collect();
    weights[512..544].fill(0.0);
    weights[768..1024].fill(0.0);
    weights[1024..1056].iter_mut().for_each(|weight| *weight = weight.abs());
    weights
}

#[test]
fn blocks_have_the_bytes_of_ggml() {
    let weights = weights();
    let mut expected = GGML;
    for format in BlockFormat::ALL {
        let mut blocks = vec![0; format.row_bytes(weights.len())];
        format.quantize(&weights, &mut blocks);
        let (theirs, rest) = expected.split_at(blocks.len());
        for (at, (own, theirs)) in
            blocks.chunks(format.bytes()).zip(theirs.chunks(format.bytes())).enumerate()
        {
            assert_eq!(own, theirs, "{format:?}, block {at}");
        }
        expected = rest;
    }
    assert!(expected.is_empty());
}

#[test]
fn weights_come_back_within_half_a_step() {
    let weights = weights();
    for (format, steps) in [
        (BlockFormat::Q4_0, 8.0),
        (BlockFormat::Q5_0, 16.0),
        (BlockFormat::Q8_0, 127.0),
        (BlockFormat::Q4K, 7.5),
        (BlockFormat::Q5K, 15.5),
        (BlockFormat::Q6K, 32.0),
    ] {
        let mut blocks = vec![0; format.row_bytes(weights.len())];
        format.quantize(&weights, &mut blocks);
        let mut back = vec![f32::NAN; weights.len()];
        format.dequantize(&blocks, &mut back);
        for (back, weights) in back.chunks(32).zip(weights.chunks(32)) {
            let largest = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
            for (back, weight) in back.iter().zip(weights) {
                // A step at the upper end is cut off, and scales are rounded, too.
                let bound = largest / steps * 1.3 + 1e-5;
                assert!((back - weight).abs() <= bound, "{format:?}: {back} for {weight}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "whole blocks")]
fn parts_of_a_block_are_refused() {
    BlockFormat::Q4K.quantize(&[0.0; 32], &mut [0; 18]);
}
