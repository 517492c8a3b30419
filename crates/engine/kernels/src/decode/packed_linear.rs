//! `y = x Wᵀ` with `W` laid out once, at load, in the order in which the inner loop reads it.
//!
//! `W` is cut into panels of 32 outputs; within a panel, all outputs' weights for one input lie side
//! by side. A tile keeps up to 12 rows × 32 outputs in registers and walks through the inputs once.
//! Q8_0 panels hold 8-bit integers and one scale per 32 inputs (GGML's blocks), which are widened in
//! registers; the arithmetic is that of F32 on the rounded weights.

use half::f16;

use super::instruction_set::{
    BASELINE_FUSES, InstructionSet, dispatched, instruction_set, multiply_add,
};
use super::lane::{LANE, Lane};

const PANEL: usize = 2 * LANE;
/// Inputs that share one Q8_0 scale.
const Q8_BLOCK: usize = 32;
const MAX_TILE_ROWS: usize = 12;

/// A weight that cannot be packed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackError {
    /// The number of weights is not outputs × inputs.
    #[error("{found} weights do not make a matrix of {outputs} x {inputs}")]
    Length {
        /// Weights given.
        found: usize,
        /// Rows of `W`.
        outputs: usize,
        /// Columns of `W`.
        inputs: usize,
    },
    /// Q8_0 scales blocks of 32 inputs.
    #[error("Q8_0 needs a multiple of 32 inputs, not {inputs}")]
    Q8Inputs {
        /// Columns of `W`.
        inputs: usize,
    },
}

/// Rows read by an operator: row `i` starts at `i · stride`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The floats, beginning with the first row.
    pub data: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

/// Rows written by an operator.
#[derive(Debug)]
pub struct StridedMut<'a> {
    /// The floats, beginning with the first row.
    pub data: &'a mut [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

/// A linear operator without bias, ready to run.
#[derive(Debug, Clone)]
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    panels: Panels,
}

#[derive(Debug, Clone)]
enum Panels {
    /// Per panel and input, two lanes.
    F32(Vec<Lane>),
    /// Per panel and input, 32 integers; per panel and 32 inputs, two lanes of scales.
    Q8 { quants: Vec<[i8; PANEL]>, scales: Vec<Lane> },
}

impl PackedLinear {
    /// Packs `weight`, row-major `[outputs, inputs]` as in Hugging Face files.
    ///
    /// # Errors
    /// [`PackError::Length`].
    pub fn new(weight: &[f32], outputs: usize, inputs: usize) -> Result<Self, PackError> {
        check_length(weight, outputs, inputs)?;
        let mut lanes = vec![Lane::ZERO; outputs.div_ceil(PANEL) * inputs * 2];
        for (output, row) in weight.chunks_exact(inputs.max(1)).enumerate() {
            let (panel, column) = (output / PANEL, output % PANEL);
            for (input, &value) in row.iter().enumerate() {
                lanes[(panel * inputs + input) * 2 + column / LANE].0[column % LANE] = value;
            }
        }
        Ok(Self { inputs, outputs, panels: Panels::F32(lanes) })
    }

    /// Rounds `weight` to Q8_0 and packs it: per 32 inputs of one output, the scale is
    /// `max |w| / 127`, kept in 16 bits as GGML does.
    ///
    /// # Errors
    /// [`PackError::Length`], [`PackError::Q8Inputs`].
    pub fn quantized(weight: &[f32], outputs: usize, inputs: usize) -> Result<Self, PackError> {
        check_length(weight, outputs, inputs)?;
        if inputs == 0 || !inputs.is_multiple_of(Q8_BLOCK) {
            return Err(PackError::Q8Inputs { inputs });
        }
        let blocks = inputs / Q8_BLOCK;
        let panels = outputs.div_ceil(PANEL);
        let mut quants = vec![[0_i8; PANEL]; panels * inputs];
        let mut scales = vec![Lane::ZERO; panels * blocks * 2];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let (panel, column) = (output / PANEL, output % PANEL);
            for (block, values) in row.chunks_exact(Q8_BLOCK).enumerate() {
                let largest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                let exact = largest / 127.0;
                let scale = f16::from_f32(exact).to_f32();
                let inverse = if exact > 0.0 { 1.0 / exact } else { 0.0 };
                scales[(panel * blocks + block) * 2 + column / LANE].0[column % LANE] = scale;
                for (at, &value) in values.iter().enumerate() {
                    let quant = (value * inverse).round().clamp(-127.0, 127.0) as i8;
                    quants[panel * inputs + block * Q8_BLOCK + at][column] = quant;
                }
            }
        }
        Ok(Self { inputs, outputs, panels: Panels::Q8 { quants, scales } })
    }

    /// Floats per input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Floats per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32(lanes) => size_of_val(lanes.as_slice()),
            Panels::Q8 { quants, scales } => {
                size_of_val(quants.as_slice()) + size_of_val(scales.as_slice())
            }
        }
    }

    /// `y = x Wᵀ` for `rows` rows.
    pub fn store(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>) {
        self.run(x, rows, y, false);
    }

    /// `y += x Wᵀ` for `rows` rows.
    pub fn add(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>) {
        self.run(x, rows, y, true);
    }

    fn run(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>, add: bool) {
        if rows == 0 || self.outputs == 0 {
            return;
        }
        assert!(x.data.len() >= (rows - 1) * x.stride + self.inputs, "input rows are missing");
        assert!(y.data.len() >= (rows - 1) * y.stride + self.outputs, "output rows are missing");
        let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
        for (panel, from) in (0..self.outputs).step_by(PANEL).enumerate() {
            let columns = PANEL.min(self.outputs - from);
            let weights = self.panel(panel);
            let mut row = 0;
            while row < rows {
                let tile_rows = tile_height(rows - row);
                let x = Strided { data: &x.data[row * x.stride..], stride: x.stride };
                weights.multiply(x, self.inputs, tile_rows, &mut tile);
                let out = &mut y.data[row * y.stride + from..];
                write_tile(&tile[..tile_rows], out, y.stride, columns, add);
                row += tile_rows;
            }
        }
    }

    fn panel(&self, panel: usize) -> Panel<'_> {
        match &self.panels {
            Panels::F32(lanes) => {
                let size = self.inputs * 2;
                Panel::F32(&lanes[panel * size..(panel + 1) * size])
            }
            Panels::Q8 { quants, scales } => {
                let size = self.inputs / Q8_BLOCK * 2;
                Panel::Q8(
                    &quants[panel * self.inputs..(panel + 1) * self.inputs],
                    &scales[panel * size..(panel + 1) * size],
                )
            }
        }
    }
}

fn check_length(weight: &[f32], outputs: usize, inputs: usize) -> Result<(), PackError> {
    if weight.len() == outputs * inputs {
        Ok(())
    } else {
        Err(PackError::Length { found: weight.len(), outputs, inputs })
    }
}

/// Tiles are as high as registers allow, then powers of two, so that few variants are compiled.
fn tile_height(rows: usize) -> usize {
    match rows {
        12.. => 12,
        8.. => 8,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

dispatched! {
    /// Stores or adds a tile's sums into rows of `columns` floats, `stride` apart.
    fn write_tile(
        tile: &[[Lane; 2]],
        y: &mut [f32],
        stride: usize,
        columns: usize,
        add: bool,
    ) = write_rows;
}

#[inline(always)]
fn write_rows<const FUSED: bool>(
    tile: &[[Lane; 2]],
    y: &mut [f32],
    stride: usize,
    columns: usize,
    add: bool,
) {
    for (sums, y) in tile.iter().zip(y.chunks_mut(stride)) {
        for (y, sum) in y[..columns].chunks_mut(LANE).zip(sums) {
            match <&mut [f32; LANE]>::try_from(&mut *y) {
                Ok(y) if add => *y = std::array::from_fn(|at| y[at] + sum.0[at]),
                Ok(y) => *y = sum.0,
                Err(_) if add => y.iter_mut().zip(&sum.0).for_each(|(y, sum)| *y += sum),
                Err(_) => y.copy_from_slice(&sum.0[..y.len()]),
            }
        }
    }
}

/// The weights of 32 outputs.
#[derive(Clone, Copy)]
enum Panel<'a> {
    F32(&'a [Lane]),
    Q8(&'a [[i8; PANEL]], &'a [Lane]),
}

type Tile = [[Lane; 2]; MAX_TILE_ROWS];

impl Panel<'_> {
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "the instruction set was detected")
    )]
    fn multiply(self, x: Strided<'_>, inputs: usize, rows: usize, tile: &mut Tile) {
        assert!(x.data.len() >= (rows - 1) * x.stride + inputs, "input rows are missing");
        macro_rules! by_height {
            ($kernel:path) => {
                match rows {
                    12 => $kernel(self, x, inputs, tile.first_chunk_mut::<12>()),
                    8 => $kernel(self, x, inputs, tile.first_chunk_mut::<8>()),
                    4 => $kernel(self, x, inputs, tile.first_chunk_mut::<4>()),
                    2 => $kernel(self, x, inputs, tile.first_chunk_mut::<2>()),
                    _ => $kernel(self, x, inputs, tile.first_chunk_mut::<1>()),
                }
            };
        }
        match instruction_set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512, and the assertion above covers every read of `x`.
            InstructionSet::Avx512 => unsafe { by_height!(avx512::tile) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2 and FMA, and the assertion above covers every read of `x`.
            InstructionSet::Avx2 => unsafe { by_height!(avx2::tile) },
            InstructionSet::Baseline => by_height!(baseline_tile),
        }
    }
}

/// One tile in plain Rust, for machines without wide vectors.
fn baseline_tile<const ROWS: usize>(
    panel: Panel<'_>,
    x: Strided<'_>,
    inputs: usize,
    tile: Option<&mut [[Lane; 2]; ROWS]>,
) {
    let Some(tile) = tile else { return };
    let mut sums = [[Lane::ZERO; 2]; ROWS];
    for input in 0..inputs {
        let weights = widened(panel, input);
        for (row, sums) in sums.iter_mut().enumerate() {
            let value = x.data[row * x.stride + input];
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                for (sum, &weight) in sums.0.iter_mut().zip(&weights.0) {
                    *sum = multiply_add::<BASELINE_FUSES>(value, weight, *sum);
                }
            }
        }
    }
    *tile = sums;
}

#[inline(always)]
fn widened(panel: Panel<'_>, input: usize) -> [Lane; 2] {
    match panel {
        Panel::F32(lanes) => [lanes[2 * input], lanes[2 * input + 1]],
        Panel::Q8(quants, scales) => {
            let block = input / Q8_BLOCK;
            std::array::from_fn(|half| {
                let scale = &scales[2 * block + half].0;
                let quants = &quants[input][half * LANE..];
                Lane(std::array::from_fn(|at| f32::from(quants[at]) * scale[at]))
            })
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx512 {
    //! Tiles with 512-bit vectors: 24 of the 32 registers hold sums.

    use std::arch::x86_64::{
        __m128i, __m512, _mm_loadu_si128, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps,
        _mm512_fmadd_ps, _mm512_load_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_store_ps,
    };

    use super::{LANE, Lane, Panel, Q8_BLOCK, Strided};

    /// # Safety
    /// `x` holds `ROWS` rows of `inputs` floats.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    pub(super) unsafe fn tile<const ROWS: usize>(
        panel: Panel<'_>,
        x: Strided<'_>,
        inputs: usize,
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        let x_start = x.data.as_ptr();
        match panel {
            Panel::F32(lanes) => {
                for (input, pair) in lanes[..2 * inputs].chunks_exact(2).enumerate() {
                    // SAFETY: lanes are 64-byte aligned; `x` is covered by the caller.
                    unsafe {
                        let low = _mm512_load_ps(pair[0].0.as_ptr());
                        let high = _mm512_load_ps(pair[1].0.as_ptr());
                        accumulate(&mut sums, x_start.add(input), x.stride, low, high);
                    }
                }
            }
            Panel::Q8(quants, scales) => {
                for (block, quants) in quants[..inputs].chunks_exact(Q8_BLOCK).enumerate() {
                    // SAFETY: lanes are 64-byte aligned; `x` is covered by the caller.
                    unsafe {
                        let low_scale = _mm512_load_ps(scales[2 * block].0.as_ptr());
                        let high_scale = _mm512_load_ps(scales[2 * block + 1].0.as_ptr());
                        for (at, quants) in quants.iter().enumerate() {
                            let low = _mm512_mul_ps(widen(quants.as_ptr()), low_scale);
                            let high = _mm512_mul_ps(widen(quants[LANE..].as_ptr()), high_scale);
                            let x_at = x_start.add(block * Q8_BLOCK + at);
                            accumulate(&mut sums, x_at, x.stride, low, high);
                        }
                    }
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

    /// # Safety
    /// `x + row · stride` is readable for every row of `sums`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    unsafe fn accumulate<const ROWS: usize>(
        sums: &mut [[__m512; 2]; ROWS],
        x: *const f32,
        stride: usize,
        low: __m512,
        high: __m512,
    ) {
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            let value = _mm512_set1_ps(unsafe { *x.add(row * stride) });
            sums[0] = _mm512_fmadd_ps(value, low, sums[0]);
            sums[1] = _mm512_fmadd_ps(value, high, sums[1]);
        }
    }

    /// # Safety
    /// 16 integers can be read at `quants`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    unsafe fn widen(quants: *const i8) -> __m512 {
        // SAFETY: as the caller promises; the load needs no alignment.
        let quants = unsafe { _mm_loadu_si128(quants.cast::<__m128i>()) };
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(quants))
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx2 {
    //! Tiles with 256-bit vectors: a quarter of a panel at a time, so that 12 rows fit 16 registers.

    use std::arch::x86_64::{
        __m128i, __m256, _mm_loadl_epi64, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
        _mm256_fmadd_ps, _mm256_load_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_store_ps,
    };

    use super::{Lane, Panel, Q8_BLOCK, Strided};

    /// # Safety
    /// `x` holds `ROWS` rows of `inputs` floats.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn tile<const ROWS: usize>(
        panel: Panel<'_>,
        x: Strided<'_>,
        inputs: usize,
        tile: Option<&mut [[Lane; 2]; ROWS]>,
    ) {
        let Some(tile) = tile else { return };
        let x_start = x.data.as_ptr();
        for quarter in 0..4 {
            let (half, offset) = (quarter / 2, quarter % 2 * 8);
            let mut sums = [_mm256_setzero_ps(); ROWS];
            match panel {
                Panel::F32(lanes) => {
                    for (input, pair) in lanes[..2 * inputs].chunks_exact(2).enumerate() {
                        // SAFETY: half a lane is 32-byte aligned; `x` is covered by the caller.
                        unsafe {
                            let weights = _mm256_load_ps(pair[half].0[offset..].as_ptr());
                            accumulate(&mut sums, x_start.add(input), x.stride, weights);
                        }
                    }
                }
                Panel::Q8(quants, scales) => {
                    for (block, quants) in quants[..inputs].chunks_exact(Q8_BLOCK).enumerate() {
                        // SAFETY: as above; 8 integers are read of 32.
                        unsafe {
                            let scale =
                                _mm256_load_ps(scales[2 * block + half].0[offset..].as_ptr());
                            for (at, quants) in quants.iter().enumerate() {
                                let weights = widen(quants[quarter * 8..].as_ptr());
                                let x_at = x_start.add(block * Q8_BLOCK + at);
                                accumulate(
                                    &mut sums,
                                    x_at,
                                    x.stride,
                                    _mm256_mul_ps(weights, scale),
                                );
                            }
                        }
                    }
                }
            }
            for (tile, &sum) in tile.iter_mut().zip(&sums) {
                // SAFETY: half a lane is 32-byte aligned.
                unsafe { _mm256_store_ps(tile[half].0[offset..].as_mut_ptr(), sum) };
            }
        }
    }

    /// # Safety
    /// `x + row · stride` is readable for every row of `sums`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn accumulate<const ROWS: usize>(
        sums: &mut [__m256; ROWS],
        x: *const f32,
        stride: usize,
        weights: __m256,
    ) {
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            let value = _mm256_set1_ps(unsafe { *x.add(row * stride) });
            *sum = _mm256_fmadd_ps(value, weights, *sum);
        }
    }

    /// # Safety
    /// 8 integers can be read at `quants`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn widen(quants: *const i8) -> __m256 {
        // SAFETY: as the caller promises; the load needs no alignment.
        let quants = unsafe { _mm_loadl_epi64(quants.cast::<__m128i>()) };
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(quants))
    }
}

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    use super::{InstructionSet, Lane, MAX_TILE_ROWS, PackedLinear, Strided, baseline_tile};

    /// The first output lane of one row, by plain Rust.
    pub(in super::super) fn baseline_first_lane(linear: &PackedLinear, x: &[f32]) -> Lane {
        let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
        let x = Strided { data: x, stride: x.len() };
        baseline_tile(linear.panel(0), x, linear.inputs, tile.first_chunk_mut::<1>());
        tile[0][0]
    }

    /// The same by AVX2, where there is one.
    #[expect(unsafe_code, reason = "the instruction set was detected")]
    pub(in super::super) fn avx2_first_lane(linear: &PackedLinear, x: &[f32]) -> Option<Lane> {
        #[cfg(target_arch = "x86_64")]
        if super::instruction_set() != InstructionSet::Baseline {
            let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
            let x = Strided { data: x, stride: x.len() };
            // SAFETY: both wider sets include AVX2, and `x` is one row.
            unsafe {
                super::avx2::tile(linear.panel(0), x, linear.inputs, tile.first_chunk_mut::<1>());
            }
            return Some(tile[0][0]);
        }
        None
    }
}
