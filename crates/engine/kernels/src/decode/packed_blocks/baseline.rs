//! Tiles in plain Rust, for machines without wide vectors.

use super::{BlockPanel, CHUNK, LANE, Layout, PANEL, QUAD, QUADS, chunk_line, delta_line};
use crate::decode::instruction_set::{BASELINE_FUSES, multiply_add};
use crate::decode::lane::Lane;
use crate::decode::rounded_rows::{Q8Row, Q8Rows};
use half::f16;

/// A chunk's weights, unpacked.
struct Unpacked {
    /// By half, in the order of one instruction's weights: four inputs of an output side by side.
    quads: [[[u8; QUAD * LANE]; QUADS]; 2],
    /// By part of the chunk and output.
    scales: [[f32; PANEL]; 2],
    minimums: [f32; PANEL],
}

/// Some rows from the `first`-th on.
pub(super) fn tile<L: Layout>(
    panel: BlockPanel<'_>,
    x: &Q8Rows,
    first: usize,
    tile: &mut [[Lane; 2]],
) {
    tile.fill([Lane::ZERO; 2]);
    for chunk in 0..panel.chunks {
        let weights = unpacked::<L>(panel, chunk);
        for (at, sums) in tile.iter_mut().enumerate() {
            add_chunk::<L>(&weights, x.row(first + at), chunk, sums);
        }
    }
}

fn add_chunk<L: Layout>(weights: &Unpacked, row: Q8Row<'_>, chunk: usize, sums: &mut [Lane; 2]) {
    let quants = &row.quants[chunk * CHUNK..][..CHUNK];
    let per_part = QUADS / L::PARTS;
    for half in 0..2 {
        let sums = &mut sums[half].0;
        for part in 0..L::PARTS {
            let of_part = &row.sums[chunk][part..part + 3 - L::PARTS];
            let mut integers = [-L::OFFSET * of_part.iter().sum::<i32>(); LANE];
            for quad in part * per_part..(part + 1) * per_part {
                let four = &quants[quad * QUAD..][..QUAD];
                let weights = weights.quads[half][quad].as_chunks::<QUAD>().0;
                for (integer, weights) in integers.iter_mut().zip(weights) {
                    for (weight, quant) in weights.iter().zip(four) {
                        *integer += i32::from(*weight) * i32::from(*quant);
                    }
                }
            }
            for at in 0..LANE {
                let scale = weights.scales[part][half * LANE + at] * row.scales[chunk];
                sums[at] = multiply_add::<BASELINE_FUSES>(integers[at] as f32, scale, sums[at]);
            }
        }
        if L::DELTAS == 2 {
            for at in 0..LANE {
                let minimum = weights.minimums[half * LANE + at];
                sums[at] = multiply_add::<BASELINE_FUSES>(-minimum, row.totals[chunk], sums[at]);
            }
        }
    }
}

fn unpacked<L: Layout>(panel: BlockPanel<'_>, chunk: usize) -> Unpacked {
    let lines = &panel.lines[chunk_line::<L>(chunk)..][..L::LINES];
    let low_mask = if L::NIBBLES { 15 } else { 255 };
    let high_mask = ((1_u16 << L::HIGH_BITS) - 1) as u8;
    let quads = std::array::from_fn(|half| {
        std::array::from_fn(|quad| {
            let place = super::place::<L>(quad * QUAD, half);
            let low = &lines[place.line].0;
            match place.high {
                None => low.map(|low| low >> place.shift & low_mask),
                Some((line, shift)) => std::array::from_fn(|at| {
                    low[at] >> place.shift & low_mask
                        | (lines[line].0[at] >> shift & high_mask) << 4
                }),
            }
        })
    });
    let bytes = &lines[L::QUANT_LINES].0;
    let half_at =
        |line: &[u8; 64], at: usize| f16::from_le_bytes([line[2 * at], line[2 * at + 1]]).to_f32();
    let (mut scales, mut minimums) = ([[0.0; PANEL]; 2], [0.0; PANEL]);
    if L::DELTAS == 0 {
        scales[0] = std::array::from_fn(|at| half_at(bytes, at));
        return Unpacked { quads, scales, minimums };
    }
    let deltas = &panel.lines[delta_line::<L>(chunk)..][..L::DELTAS];
    for at in 0..PANEL {
        let delta = half_at(&deltas[0].0, at);
        if L::DELTAS == 2 {
            scales[0][at] = delta * f32::from(bytes[at]);
            minimums[at] = half_at(&deltas[1].0, at) * f32::from(bytes[PANEL + at]);
        } else {
            for part in 0..2 {
                scales[part][at] = delta * f32::from(bytes[part * PANEL + at].cast_signed());
            }
        }
    }
    Unpacked { quads, scales, minimums }
}
