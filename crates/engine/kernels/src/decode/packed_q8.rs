//! Products of 8-bit weights with 8-bit activations.
//!
//! Weights are GGML's Q8_0: 32 inputs of one output share a scale. A row of activations is rounded the
//! same way when it comes in, as GGML does it, so that the sums of 32 products are exact in integers;
//! only these sums, each times both scales, are added up in floats, always in the order of the inputs.
//! Four inputs' weights of 16 outputs fill one vector, which is what one instruction (`vpdpbusd`)
//! multiplies and adds. It takes its first factor unsigned: weights are kept with 128 added, and 128 times
//! the sum of a block's activations is taken off again.

use half::f16;

use super::instruction_set::{
    BASELINE_FUSES, InstructionSet, dispatched, instruction_set, multiply_add,
};
use super::lane::{LANE, Lane};
use super::packed_linear::{PANEL, Strided};
use super::vector::ROUND;

/// Inputs that share a scale.
pub(super) const BLOCK: usize = 32;
/// Inputs that one instruction takes per output.
const QUAD: usize = 4;
const QUADS: usize = BLOCK / QUAD;
/// Rows whose sums fit the registers beside the integers of a block.
const MAX_ROWS: usize = 6;

/// Weights of four inputs for 16 outputs, 128 added to each.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Quad([u8; QUAD * LANE]);

/// A weight matrix in panels of 32 outputs.
#[derive(Debug, Clone)]
pub(super) struct Q8Weights {
    /// Per panel, per four inputs, two.
    quads: Vec<Quad>,
    /// Per panel, per 32 inputs, two.
    scales: Vec<Lane>,
    inputs: usize,
}

impl Q8Weights {
    /// Rounds a row-major `[outputs, inputs]` weight: the scale is `max |w| / 127`, in 16 bits as GGML
    /// keeps it. `inputs` is a multiple of 32.
    pub(super) fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let blocks = inputs / BLOCK;
        let panels = outputs.div_ceil(PANEL);
        let mut quads = vec![Quad([128; QUAD * LANE]); panels * blocks * QUADS * 2];
        let mut scales = vec![Lane::ZERO; panels * blocks * 2];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let (panel, half, column) = (output / PANEL, output % PANEL / LANE, output % LANE);
            for (block, values) in row.chunks_exact(BLOCK).enumerate() {
                let block = panel * blocks + block;
                let largest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                let exact = largest / 127.0;
                let inverse = if exact > 0.0 { 1.0 / exact } else { 0.0 };
                scales[block * 2 + half].0[column] = f16::from_f32(exact).to_f32();
                for (at, &value) in values.iter().enumerate() {
                    let quant = (value * inverse).round().clamp(-127.0, 127.0);
                    let quad = &mut quads[(block * QUADS + at / QUAD) * 2 + half];
                    quad.0[column * QUAD + at % QUAD] = (quant + 128.0) as u8;
                }
            }
        }
        Self { quads, scales, inputs }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.quads.as_slice()) + size_of_val(self.scales.as_slice())
    }

    pub(super) fn panel(&self, panel: usize) -> Q8Panel<'_> {
        let blocks = self.inputs / BLOCK;
        let (quads, scales) = (blocks * QUADS * 2, blocks * 2);
        Q8Panel {
            quads: &self.quads[panel * quads..(panel + 1) * quads],
            scales: &self.scales[panel * scales..(panel + 1) * scales],
        }
    }
}

/// Rows of activations, rounded to 8 bits; a buffer kept between calls.
#[derive(Debug, Default)]
pub struct Q8Rows {
    inputs: usize,
    quants: Vec<i8>,
    /// Per row and block.
    scales: Vec<f32>,
    /// Per row and block, −128 times the sum of its integers.
    corrections: Vec<i32>,
}

impl Q8Rows {
    /// Takes `rows` rows of `inputs` floats; the old content is lost.
    pub(super) fn round(&mut self, x: Strided<'_>, rows: usize, inputs: usize) {
        let blocks = inputs / BLOCK;
        self.inputs = inputs;
        self.quants.resize(rows * inputs, 0);
        self.scales.resize(rows * blocks, 0.0);
        self.corrections.resize(rows * blocks, 0);
        for row in 0..rows {
            round_row(
                &x.data[row * x.stride..][..inputs],
                &mut self.quants[row * inputs..][..inputs],
                &mut self.scales[row * blocks..][..blocks],
                &mut self.corrections[row * blocks..][..blocks],
            );
        }
    }

    /// One row.
    fn row(&self, row: usize) -> Q8Row<'_> {
        let blocks = self.inputs / BLOCK;
        Q8Row {
            quants: &self.quants[row * self.inputs..][..self.inputs],
            scales: &self.scales[row * blocks..][..blocks],
            corrections: &self.corrections[row * blocks..][..blocks],
        }
    }
}

dispatched! {
    fn round_row(x: &[f32], quants: &mut [i8], scales: &mut [f32], corrections: &mut [i32])
        = round_blocks;
}

#[inline(always)]
fn round_blocks<const FUSED: bool>(
    x: &[f32],
    quants: &mut [i8],
    scales: &mut [f32],
    corrections: &mut [i32],
) {
    let blocks = x.as_chunks::<BLOCK>().0.iter().zip(quants.as_chunks_mut::<BLOCK>().0);
    for (((x, quants), scale), correction) in blocks.zip(scales).zip(corrections) {
        let mut most = [0.0_f32; LANE];
        for part in x.as_chunks::<LANE>().0 {
            for (most, x) in most.iter_mut().zip(part) {
                *most = if x.abs() > *most { x.abs() } else { *most };
            }
        }
        let largest = most.iter().fold(0.0_f32, |most, &x| if x > most { x } else { most });
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut sum = 0_i32;
        for (quant, x) in quants.iter_mut().zip(x) {
            // The low bits of the sum are the nearest integer.
            *quant = (x * inverse + ROUND).to_bits() as i8;
            sum += i32::from(*quant);
        }
        *correction = -128 * sum;
    }
}

/// A rounded row.
#[derive(Clone, Copy)]
struct Q8Row<'a> {
    quants: &'a [i8],
    scales: &'a [f32],
    corrections: &'a [i32],
}

/// The weights of 32 outputs.
#[derive(Clone, Copy)]
pub(super) struct Q8Panel<'a> {
    quads: &'a [Quad],
    scales: &'a [Lane],
}

/// Sums of some rows for 32 outputs.
pub(super) type Q8Tile = [[Lane; 2]; MAX_ROWS];

/// How many of `rows` rows the next tile takes.
pub(super) fn tile_height(rows: usize) -> usize {
    match rows {
        6.. => 6,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

impl Q8Panel<'_> {
    /// `height` rows from the `first`-th on; `height` is one that [`tile_height`] gives.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "the instruction set was detected")
    )]
    pub(super) fn multiply(self, x: &Q8Rows, first: usize, height: usize, tile: &mut Q8Tile) {
        macro_rules! by_height {
            ($kernel:path) => {
                match height {
                    6 => $kernel(self, rows(x, first), tile.first_chunk_mut::<6>()),
                    4 => $kernel(self, rows(x, first), tile.first_chunk_mut::<4>()),
                    2 => $kernel(self, rows(x, first), tile.first_chunk_mut::<2>()),
                    _ => $kernel(self, rows(x, first), tile.first_chunk_mut::<1>()),
                }
            };
        }
        match Variant::best() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512 with VNNI.
            Variant::Vnni => unsafe { by_height!(vnni::tile) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2 and FMA.
            Variant::Avx2 => unsafe { by_height!(avx2::tile) },
            Variant::Baseline => by_height!(baseline_tile),
        }
    }
}

fn rows<const ROWS: usize>(x: &Q8Rows, first: usize) -> [Q8Row<'_>; ROWS] {
    std::array::from_fn(|row| x.row(first + row))
}

/// Weights and scales by block, once every row is known to have as many blocks.
fn blocks_of<'a>(
    panel: Q8Panel<'a>,
    rows: &[Q8Row<'_>],
) -> (&'a [[Quad; 2 * QUADS]], &'a [[Lane; 2]]) {
    let blocks = panel.quads.as_chunks().0;
    for row in rows {
        assert!(row.quants.len() >= blocks.len() * BLOCK, "activations are missing");
        assert!(row.scales.len() >= blocks.len(), "scales are missing");
        assert!(row.corrections.len() >= blocks.len(), "corrections are missing");
    }
    (blocks, panel.scales.as_chunks().0)
}

/// What the loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Baseline,
}

impl Variant {
    #[inline]
    fn best() -> Self {
        match instruction_set() {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 if is_x86_feature_detected!("avx512vnni") => Self::Vnni,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx2 => Self::Avx2,
            InstructionSet::Baseline => Self::Baseline,
        }
    }
}

/// One tile in plain Rust.
fn baseline_tile<const ROWS: usize>(
    panel: Q8Panel<'_>,
    rows: [Q8Row<'_>; ROWS],
    tile: Option<&mut [[Lane; 2]; ROWS]>,
) {
    let Some(tile) = tile else { return };
    let mut sums = [[Lane::ZERO; 2]; ROWS];
    let (blocks, _) = blocks_of(panel, &rows);
    for (block, quads) in blocks.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            let quants = &row.quants[block * BLOCK..][..BLOCK];
            let mut integers = [[row.corrections[block]; LANE]; 2];
            for (at, quad) in quads.iter().enumerate() {
                let four = &quants[at / 2 * QUAD..][..QUAD];
                for (integer, weights) in
                    integers[at % 2].iter_mut().zip(quad.0.as_chunks::<QUAD>().0)
                {
                    for (weight, quant) in weights.iter().zip(four) {
                        *integer += i32::from(*weight) * i32::from(*quant);
                    }
                }
            }
            for half in 0..2 {
                let scales = &panel.scales[2 * block + half].0;
                for at in 0..LANE {
                    let scale = scales[at] * row.scales[block];
                    let sum = &mut sums[half].0[at];
                    *sum = multiply_add::<BASELINE_FUSES>(integers[half][at] as f32, scale, *sum);
                }
            }
        }
    }
    *tile = sums;
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod vnni {
    //! 512-bit vectors; one instruction takes 64 products.

    use std::arch::x86_64::{
        _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_ps,
        _mm512_load_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_store_ps,
    };

    use super::{BLOCK, Lane, Q8Panel, Q8Row, QUAD, QUADS, blocks_of};

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
    pub(super) fn tile<const ROWS: usize>(
        panel: Q8Panel<'_>,
        rows: [Q8Row<'_>; ROWS],
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let (blocks, scales) = blocks_of(panel, &rows);
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for (block, (quads, scales)) in blocks.iter().zip(scales).enumerate() {
            // SAFETY: `block` is within each row, as asserted; quads and lanes are 64-byte aligned.
            unsafe {
                let mut integers = [[_mm512_set1_epi32(0); 2]; ROWS];
                for (row, integers) in rows.iter().zip(&mut integers) {
                    *integers = [_mm512_set1_epi32(*row.corrections.get_unchecked(block)); 2];
                }
                for quad in 0..QUADS {
                    let low = _mm512_load_si512(quads[2 * quad].0.as_ptr().cast());
                    let high = _mm512_load_si512(quads[2 * quad + 1].0.as_ptr().cast());
                    for (row, integers) in rows.iter().zip(&mut integers) {
                        let four = row.quants.as_ptr().add(block * BLOCK + quad * QUAD);
                        let four = _mm512_set1_epi32(four.cast::<i32>().read_unaligned());
                        integers[0] = _mm512_dpbusd_epi32(integers[0], low, four);
                        integers[1] = _mm512_dpbusd_epi32(integers[1], high, four);
                    }
                }
                let low = _mm512_load_ps(scales[0].0.as_ptr());
                let high = _mm512_load_ps(scales[1].0.as_ptr());
                for ((row, integers), sums) in rows.iter().zip(integers).zip(&mut sums) {
                    let scale = _mm512_set1_ps(*row.scales.get_unchecked(block));
                    let [integers_low, integers_high] = integers.map(|all| _mm512_cvtepi32_ps(all));
                    sums[0] = _mm512_fmadd_ps(integers_low, _mm512_mul_ps(low, scale), sums[0]);
                    sums[1] = _mm512_fmadd_ps(integers_high, _mm512_mul_ps(high, scale), sums[1]);
                }
            }
        }
        for (tile, sums) in tile.iter_mut().zip(sums) {
            for (lane, sum) in tile.iter_mut().zip(sums) {
                // SAFETY: lanes are 64-byte aligned.
                unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), sum) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx2 {
    //! 256-bit vectors; products of eight outputs at a time, in 16 bits.

    use std::arch::x86_64::{
        __m128i, __m256i, _mm_load_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_cvtepi8_epi16,
        _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_fmadd_ps, _mm256_hadd_epi32,
        _mm256_load_ps, _mm256_madd_epi16, _mm256_mul_ps, _mm256_permute4x64_epi64,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
        _mm256_store_ps,
    };

    use super::{BLOCK, Lane, Q8Panel, Q8Row, QUAD, QUADS, blocks_of};

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn tile<const ROWS: usize>(
        panel: Q8Panel<'_>,
        rows: [Q8Row<'_>; ROWS],
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let (blocks, scales) = blocks_of(panel, &rows);
        for quarter in 0..4 {
            let (half, offset) = (quarter / 2, quarter % 2 * 8);
            let mut sums = [_mm256_setzero_ps(); ROWS];
            for (block, (quads, scales)) in blocks.iter().zip(scales).enumerate() {
                // Per row, pairs of products of four outputs, twice.
                let mut pairs = [[_mm256_setzero_si256(); 2]; ROWS];
                // SAFETY: `block` is within each row, as asserted; quads and lanes are 64-byte aligned, and
                // 16 weights are read at multiples of 16.
                unsafe {
                    for quad in 0..QUADS {
                        let at = quads[2 * quad + half].0.as_ptr().add(offset * QUAD);
                        let first = _mm256_cvtepu8_epi16(_mm_load_si128(at.cast::<__m128i>()));
                        let second =
                            _mm256_cvtepu8_epi16(_mm_load_si128(at.add(16).cast::<__m128i>()));
                        for (row, pairs) in rows.iter().zip(&mut pairs) {
                            let four = row.quants.as_ptr().add(block * BLOCK + quad * QUAD);
                            let four = _mm_set1_epi32(four.cast::<i32>().read_unaligned());
                            let four = _mm256_cvtepi8_epi16(four);
                            for (pairs, weights) in pairs.iter_mut().zip([first, second]) {
                                *pairs = _mm256_add_epi32(*pairs, _mm256_madd_epi16(weights, four));
                            }
                        }
                    }
                    let scales = _mm256_load_ps(scales[half].0[offset..].as_ptr());
                    for ((row, pairs), sum) in rows.iter().zip(pairs).zip(&mut sums) {
                        let correction = _mm256_set1_epi32(*row.corrections.get_unchecked(block));
                        let integers = _mm256_add_epi32(joined(pairs), correction);
                        let scale = _mm256_set1_ps(*row.scales.get_unchecked(block));
                        *sum = _mm256_fmadd_ps(
                            _mm256_cvtepi32_ps(integers),
                            _mm256_mul_ps(scales, scale),
                            *sum,
                        );
                    }
                }
            }
            for (tile, sum) in tile.iter_mut().zip(sums) {
                // SAFETY: half a lane is 32-byte aligned.
                unsafe { _mm256_store_ps(tile[half].0[offset..].as_mut_ptr(), sum) };
            }
        }
    }

    /// Adds neighbors; the result is in the order of the outputs.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn joined([first, second]: [__m256i; 2]) -> __m256i {
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second))
    }
}

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    use super::{Lane, Q8Panel, Q8Rows, baseline_tile, rows};
    #[cfg(target_arch = "x86_64")]
    use super::{Variant, avx2};

    /// The first output lane of one row, by plain Rust.
    pub(in super::super) fn baseline_first_lane(panel: Q8Panel<'_>, x: &Q8Rows) -> Lane {
        let mut tile = [[Lane::ZERO; 2]; 1];
        baseline_tile(panel, rows(x, 0), Some(&mut tile));
        tile[0][0]
    }

    /// The same by AVX2, where there is one.
    #[expect(unsafe_code, reason = "the instruction set was detected")]
    pub(in super::super) fn avx2_first_lane(panel: Q8Panel<'_>, x: &Q8Rows) -> Option<Lane> {
        #[cfg(target_arch = "x86_64")]
        if Variant::best() != Variant::Baseline {
            let mut tile = [[Lane::ZERO; 2]; 1];
            // SAFETY: both wider sets include AVX2.
            unsafe { avx2::tile(panel, rows(x, 0), Some(&mut tile)) };
            return Some(tile[0][0]);
        }
        None
    }
}
