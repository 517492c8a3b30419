//! Products of weights that are kept as floats.
//!
//! Within a panel of 32 outputs, all outputs' weights for one input lie side by side. A tile keeps up to 12 rows
//! × 32 outputs in registers and walks through the inputs once.

use half::f16;

use super::instruction_set::{BASELINE_FUSES, InstructionSet, instruction_set, multiply_add};
use super::lane::{LANE, Lane};
use super::linear_rows::Strided;
use super::packed_linear::PANEL;
use super::weight_memory::{Line, WeightMemory, Weights};

const MAX_TILE_ROWS: usize = 12;

/// How a float is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatFormat {
    F32,
    F16,
}

/// A weight matrix in panels of 32 outputs.
#[derive(Debug)]
pub(super) struct FloatWeights {
    format: FloatFormat,
    inputs: usize,
    lines: Weights,
}

/// What the loops know of a format. A panel has 32 weights of each input in `LINES` lines.
trait Floats {
    const LINES: usize;

    fn get(lines: &[Line], column: usize) -> f32;

    fn put(lines: &mut [Line], column: usize, value: f32);

    /// The weights of 16 outputs.
    fn lane(lines: &[Line], half: usize) -> Lane;
}

#[derive(Debug)]
struct F32;
#[derive(Debug)]
struct F16;

impl Floats for F32 {
    const LINES: usize = 2;

    fn get(lines: &[Line], column: usize) -> f32 {
        lines[column / LANE].floats().0[column % LANE]
    }

    fn put(lines: &mut [Line], column: usize, value: f32) {
        let bytes = &mut lines[column / LANE].0[column % LANE * 4..][..4];
        bytes.copy_from_slice(&value.to_ne_bytes());
    }

    #[inline(always)]
    fn lane(lines: &[Line], half: usize) -> Lane {
        lines[half].floats()
    }
}

impl Floats for F16 {
    const LINES: usize = 1;

    fn get(lines: &[Line], column: usize) -> f32 {
        f16::from_ne_bytes(lines[0].halves()[column]).to_f32()
    }

    fn put(lines: &mut [Line], column: usize, value: f32) {
        let bytes = &mut lines[0].0[column * 2..][..2];
        bytes.copy_from_slice(&f16::from_f32(value).to_ne_bytes());
    }

    #[inline(always)]
    fn lane(lines: &[Line], half: usize) -> Lane {
        let halves = &lines[0].halves()[half * LANE..][..LANE];
        Lane(std::array::from_fn(|at| f16::from_ne_bytes(halves[at]).to_f32()))
    }
}

/// Runs a generic expression for a format.
macro_rules! with_format {
    ($format:expr, $floats:ident => $body:expr) => {
        match $format {
            FloatFormat::F32 => {
                type $floats = F32;
                $body
            }
            FloatFormat::F16 => {
                type $floats = F16;
                $body
            }
        }
    };
}

impl FloatWeights {
    /// Zeros.
    pub(super) fn new(
        format: FloatFormat,
        outputs: usize,
        inputs: usize,
        memory: &mut WeightMemory,
    ) -> Self {
        let per_input = with_format!(format, F => F::LINES);
        let lines = memory.take(outputs.div_ceil(PANEL) * inputs * per_input);
        Self { format, inputs, lines }
    }

    /// Takes one output's weights.
    pub(super) fn set_row(&mut self, output: usize, row: &[f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        with_format!(self.format, F => {
            let size = self.inputs * F::LINES;
            let lines = &mut self.lines[panel * size..(panel + 1) * size];
            for (lines, &value) in lines.chunks_exact_mut(F::LINES).zip(row) {
                F::put(lines, column, value);
            }
        });
    }

    /// The weights of one output.
    pub(super) fn row(&self, output: usize, weights: &mut [f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        with_format!(self.format, F => {
            let lines = self.panel(panel).lines.chunks_exact(F::LINES);
            lines.zip(weights).for_each(|(lines, weight)| *weight = F::get(lines, column));
        });
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.lines)
    }

    pub(super) fn panel(&self, panel: usize) -> FloatPanel<'_> {
        let size = self.inputs * with_format!(self.format, F => F::LINES);
        FloatPanel { format: self.format, lines: &self.lines[panel * size..(panel + 1) * size] }
    }
}

/// The weights of 32 outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloatPanel<'a> {
    format: FloatFormat,
    lines: &'a [Line],
}

/// Sums of some rows for 32 outputs.
pub(super) type FloatTile = [[Lane; 2]; MAX_TILE_ROWS];

/// Tiles are as high as registers allow, then powers of two, so that few variants are compiled.
pub(super) fn tile_height(rows: usize) -> usize {
    match rows {
        12.. => 12,
        8.. => 8,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

impl FloatPanel<'_> {
    /// `height` rows of `inputs` floats; `height` is one that [`tile_height`] gives.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "the instruction set was detected")
    )]
    pub(super) fn multiply(
        self,
        x: Strided<'_>,
        inputs: usize,
        height: usize,
        tile: &mut FloatTile,
    ) {
        assert!(x.data.len() >= (height - 1) * x.stride + inputs, "input rows are missing");
        assert_eq!(self.lines.len(), inputs * with_format!(self.format, F => F::LINES));
        #[cfg(target_arch = "x86_64")]
        macro_rules! by_height {
            ($kernel:ident) => {
                with_format!(self.format, F => match height {
                    12 => $kernel::tile::<F, 12>(self.lines, x, tile.first_chunk_mut()),
                    8 => $kernel::tile::<F, 8>(self.lines, x, tile.first_chunk_mut()),
                    4 => $kernel::tile::<F, 4>(self.lines, x, tile.first_chunk_mut()),
                    2 => $kernel::tile::<F, 2>(self.lines, x, tile.first_chunk_mut()),
                    _ => $kernel::tile::<F, 1>(self.lines, x, tile.first_chunk_mut()),
                })
            };
        }
        match instruction_set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512, and the assertions above cover every read.
            InstructionSet::Avx512 => unsafe { by_height!(avx512) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2, FMA and F16C, and the assertions above cover every read.
            InstructionSet::Avx2 => unsafe { by_height!(avx2) },
            InstructionSet::Baseline => {
                with_format!(self.format, F => baseline_tile::<F>(self.lines, x, &mut tile[..height]));
            }
        }
    }
}

/// One tile in plain Rust, for machines without wide vectors.
fn baseline_tile<F: Floats>(lines: &[Line], x: Strided<'_>, tile: &mut [[Lane; 2]]) {
    tile.fill([Lane::ZERO; 2]);
    for (input, lines) in lines.chunks_exact(F::LINES).enumerate() {
        let weights = [F::lane(lines, 0), F::lane(lines, 1)];
        for (row, sums) in tile.iter_mut().enumerate() {
            let value = x.data[row * x.stride + input];
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                for (sum, &weight) in sums.0.iter_mut().zip(&weights.0) {
                    *sum = multiply_add::<BASELINE_FUSES>(value, weight, *sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx512 {
    //! Tiles with 512-bit vectors: 24 of the 32 registers hold sums.

    use std::arch::x86_64::{
        __m512, _mm256_load_si256, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_load_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_store_ps,
    };

    use super::{F16, F32, Floats, Lane, Line, Strided};

    /// Reads the weights of 16 outputs.
    pub(super) trait Load: Floats {
        /// # Safety
        /// `lines` are those of an input.
        unsafe fn load(lines: *const Line, half: usize) -> __m512;
    }

    impl Load for F32 {
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
        unsafe fn load(lines: *const Line, half: usize) -> __m512 {
            // SAFETY: as the caller promises; lines are 64-byte aligned.
            unsafe { _mm512_load_ps(lines.add(half).cast()) }
        }
    }

    impl Load for F16 {
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
        unsafe fn load(lines: *const Line, half: usize) -> __m512 {
            // SAFETY: as the caller promises; half a line is 32-byte aligned.
            _mm512_cvtph_ps(unsafe { _mm256_load_si256(lines.cast::<u8>().add(32 * half).cast()) })
        }
    }

    /// # Safety
    /// `x` holds `ROWS` rows of a float for every input of `lines`.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    pub(super) unsafe fn tile<F: Load, const ROWS: usize>(
        lines: &[Line],
        x: Strided<'_>,
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        let x_start = x.data.as_ptr();
        for (input, lines) in lines.chunks_exact(F::LINES).enumerate() {
            // SAFETY: these are the lines of an input; `x` is covered by the caller.
            unsafe {
                let (low, high) = (F::load(lines.as_ptr(), 0), F::load(lines.as_ptr(), 1));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = _mm512_set1_ps(*x_start.add(input + row * x.stride));
                    sums[0] = _mm512_fmadd_ps(value, low, sums[0]);
                    sums[1] = _mm512_fmadd_ps(value, high, sums[1]);
                }
            }
        }
        for (tile, sums) in tile.iter_mut().zip(&sums) {
            for (lane, &sum) in tile.iter_mut().zip(sums) {
                // SAFETY: lanes are 64-byte aligned.
                unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), sum) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx2 {
    //! Tiles with 256-bit vectors: a quarter of a panel at a time, so that 12 rows fit 16 registers.

    use std::arch::x86_64::{
        __m256, _mm_load_si128, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_load_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_store_ps,
    };

    use super::{F16, F32, Floats, Lane, Line, Strided};

    /// Reads the weights of 8 outputs.
    pub(super) trait Load: Floats {
        /// # Safety
        /// `lines` are those of an input.
        unsafe fn load(lines: *const Line, quarter: usize) -> __m256;
    }

    impl Load for F32 {
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn load(lines: *const Line, quarter: usize) -> __m256 {
            // SAFETY: as the caller promises; half a line is 32-byte aligned.
            unsafe { _mm256_load_ps(lines.cast::<f32>().add(8 * quarter)) }
        }
    }

    impl Load for F16 {
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn load(lines: *const Line, quarter: usize) -> __m256 {
            // SAFETY: as the caller promises; a quarter of a line is 16-byte aligned.
            _mm256_cvtph_ps(unsafe { _mm_load_si128(lines.cast::<u8>().add(16 * quarter).cast()) })
        }
    }

    /// # Safety
    /// `x` holds `ROWS` rows of a float for every input of `lines`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn tile<F: Load, const ROWS: usize>(
        lines: &[Line],
        x: Strided<'_>,
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let x_start = x.data.as_ptr();
        for quarter in 0..4 {
            let (half, offset) = (quarter / 2, quarter % 2 * 8);
            let mut sums = [_mm256_setzero_ps(); ROWS];
            for (input, lines) in lines.chunks_exact(F::LINES).enumerate() {
                // SAFETY: these are the lines of an input; `x` is covered by the caller.
                unsafe {
                    let weights = F::load(lines.as_ptr(), quarter);
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let value = _mm256_set1_ps(*x_start.add(input + row * x.stride));
                        *sum = _mm256_fmadd_ps(value, weights, *sum);
                    }
                }
            }
            for (tile, &sum) in tile.iter_mut().zip(&sums) {
                // SAFETY: half a lane is 32-byte aligned.
                unsafe { _mm256_store_ps(tile[half].0[offset..].as_mut_ptr(), sum) };
            }
        }
    }
}

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    use super::{F16, F32, FloatFormat, FloatPanel, Lane, Strided, baseline_tile};
    #[cfg(target_arch = "x86_64")]
    use super::{InstructionSet, avx2, instruction_set};

    /// The outputs of one row, by plain Rust.
    pub(in super::super) fn baseline_lanes(panel: FloatPanel<'_>, x: Strided<'_>) -> [Lane; 2] {
        let mut tile = [[Lane::ZERO; 2]; 1];
        with_format!(panel.format, F => baseline_tile::<F>(panel.lines, x, &mut tile));
        tile[0]
    }

    /// The same by AVX2, where there is one.
    #[expect(unsafe_code, reason = "the instruction set was detected")]
    pub(in super::super) fn avx2_lanes(panel: FloatPanel<'_>, x: Strided<'_>) -> Option<[Lane; 2]> {
        #[cfg(target_arch = "x86_64")]
        if instruction_set() != InstructionSet::Baseline {
            let mut tile = [[Lane::ZERO; 2]; 1];
            // SAFETY: both wider sets include AVX2, FMA and F16C, and `x` is one row.
            with_format!(panel.format, F => unsafe {
                avx2::tile::<F, 1>(panel.lines, x, Some(&mut tile));
            });
            return Some(tile[0]);
        }
        None
    }
}
