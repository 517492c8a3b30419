//! `y = x Wᵀ` with `W` laid out once, at load, in the order in which the inner loop reads it.
//!
//! `W` is cut into panels of 32 outputs; within a panel, all outputs' weights for one input lie side
//! by side. A tile keeps up to 12 rows × 32 outputs in registers and walks through the inputs once.
//! Quantized weights have panels of their own, in `packed_blocks`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use super::instruction_set::{BASELINE_FUSES, InstructionSet, instruction_set, multiply_add};
use super::lane::{LANE, Lane};
use super::packed_blocks::{self, BlockPanel, BlockTile, BlockWeights};
use super::rounded_rows::Q8Rows;
use crate::blocks::{BlockFormat, CHUNK};

/// Outputs of a panel.
pub(super) const PANEL: usize = 2 * LANE;
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
    /// Rows are no whole blocks.
    #[error("{format:?} needs a multiple of {} inputs, not {inputs}", format.weights())]
    Blocks {
        /// The format.
        format: BlockFormat,
        /// Columns of `W`.
        inputs: usize,
    },
    /// Matrices of other widths cannot be stacked.
    #[error("matrices of {first} and {other} inputs cannot be stacked")]
    Stacked {
        /// Columns of the first.
        first: usize,
        /// Columns of another.
        other: usize,
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

/// Some columns of some rows, to write while others write other columns of the same rows.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    first: *mut f32,
    stride: usize,
    rows: usize,
    columns: Range<usize>,
    _rows: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "raw pointers are not Send by themselves")]
// SAFETY: no two of these reach the same float, as `StridedMut::split_columns` makes sure.
unsafe impl Send for ColumnsMut<'_> {}

impl<'a> StridedMut<'a> {
    /// Cuts the first `rows` rows at columns; `ranges` are in order and do not overlap.
    ///
    /// # Panics
    /// Where the ranges overlap or reach beyond the rows.
    pub fn split_columns(
        self,
        rows: usize,
        ranges: impl IntoIterator<Item = Range<usize>>,
    ) -> impl Iterator<Item = ColumnsMut<'a>> {
        let (first, stride, length) = (self.data.as_mut_ptr(), self.stride, self.data.len());
        let mut next = 0;
        ranges.into_iter().map(move |columns| {
            let ends = rows.saturating_sub(1) * stride + columns.end;
            assert!(next <= columns.start && columns.start <= columns.end, "columns overlap");
            assert!(columns.end <= stride || rows <= 1, "columns reach into the next row");
            assert!(rows == 0 || ends <= length, "output rows are missing");
            next = columns.end;
            ColumnsMut { first, stride, rows, columns, _rows: PhantomData }
        })
    }
}

impl ColumnsMut<'_> {
    /// `columns` of a row, counted as in the whole row.
    #[expect(unsafe_code, reason = "neighbors write the same rows")]
    fn row(&mut self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows, "there is no such row");
        assert!(self.columns.start <= columns.start && columns.end <= self.columns.end);
        // SAFETY: the columns are this one's own, and were checked against the slice that they were cut from,
        // which is borrowed as long as `self` lives.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.first.add(row * self.stride + columns.start),
                columns.len(),
            )
        }
    }
}

/// Rows of inputs, made ready for a linear operator.
#[derive(Debug, Clone, Copy)]
pub struct LinearInput<'a> {
    x: Strided<'a>,
    rows: usize,
    rounded: Option<&'a Q8Rows>,
}

/// How weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// As they are.
    F32,
    /// In ggml's blocks.
    Blocks(BlockFormat),
}

/// A linear operator without bias, ready to run.
#[derive(Debug, Clone)]
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    sections: Vec<Section>,
}

/// Neighboring outputs whose weights are kept in one way.
#[derive(Debug, Clone)]
struct Section {
    outputs: Range<usize>,
    panels: Panels,
}

#[derive(Debug, Clone)]
enum Panels {
    /// Per panel and input, two lanes.
    F32(Vec<Lane>),
    /// In blocks.
    Blocks(BlockWeights),
}

/// Packs a weight row by row, so that it need not be in memory twice.
#[derive(Debug)]
pub struct LinearPacker {
    format: WeightFormat,
    inputs: usize,
    outputs: usize,
    next: usize,
    panels: Panels,
    blocks: Vec<u8>,
}

impl LinearPacker {
    /// For a weight of `[outputs, inputs]`.
    ///
    /// # Errors
    /// [`PackError::Blocks`].
    pub fn new(format: WeightFormat, outputs: usize, inputs: usize) -> Result<Self, PackError> {
        let panels = match format {
            WeightFormat::F32 => {
                Panels::F32(vec![Lane::ZERO; outputs.div_ceil(PANEL) * inputs * 2])
            }
            WeightFormat::Blocks(format) if format.fits(inputs) => {
                Panels::Blocks(BlockWeights::new(format, outputs, inputs))
            }
            WeightFormat::Blocks(format) => return Err(PackError::Blocks { format, inputs }),
        };
        Ok(Self { format, inputs, outputs, next: 0, panels, blocks: Vec::new() })
    }

    /// How the weights are kept.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Takes the next rows, which are rounded where the format asks for it.
    ///
    /// # Errors
    /// [`PackError::Length`].
    pub fn push(&mut self, rows: &[f32]) -> Result<(), PackError> {
        if let WeightFormat::Blocks(format) = self.format {
            let mut blocks = std::mem::take(&mut self.blocks);
            blocks.resize(format.row_bytes(rows.len()), 0);
            let whole = rows.len().is_multiple_of(self.inputs);
            if whole {
                format.quantize(rows, &mut blocks);
            }
            let pushed =
                if whole { self.push_blocks(&blocks) } else { Err(self.wrong(rows.len())) };
            self.blocks = blocks;
            return pushed;
        }
        let count = rows.len() / self.inputs.max(1);
        if count * self.inputs != rows.len() || self.next + count > self.outputs {
            return Err(self.wrong(rows.len()));
        }
        if let Panels::F32(lanes) = &mut self.panels {
            for (output, row) in (self.next..).zip(rows.chunks_exact(self.inputs.max(1))) {
                let (panel, column) = (output / PANEL, output % PANEL);
                for (input, &value) in row.iter().enumerate() {
                    lanes[(panel * self.inputs + input) * 2 + column / LANE].0[column % LANE] =
                        value;
                }
            }
        }
        self.next += count;
        Ok(())
    }

    /// Takes the next rows as blocks of the packer's format.
    ///
    /// # Errors
    /// [`PackError::Length`], also where the format has no blocks.
    pub fn push_blocks(&mut self, rows: &[u8]) -> Result<(), PackError> {
        let Panels::Blocks(weights) = &mut self.panels else { return Err(self.wrong(0)) };
        let WeightFormat::Blocks(format) = self.format else { return Err(self.wrong(0)) };
        let row_bytes = format.row_bytes(self.inputs);
        let count = rows.len() / row_bytes;
        if count * row_bytes != rows.len() || self.next + count > self.outputs {
            return Err(self.wrong(rows.len() / format.bytes() * format.weights()));
        }
        for (output, row) in (self.next..).zip(rows.chunks_exact(row_bytes)) {
            weights.set_row(output, row);
        }
        self.next += count;
        Ok(())
    }

    /// The operator.
    ///
    /// # Errors
    /// [`PackError::Length`] where rows are missing.
    pub fn finish(self) -> Result<PackedLinear, PackError> {
        if self.next != self.outputs {
            return Err(self.wrong(0));
        }
        let section = Section { outputs: 0..self.outputs, panels: self.panels };
        Ok(PackedLinear { inputs: self.inputs, outputs: self.outputs, sections: vec![section] })
    }

    fn wrong(&self, more: usize) -> PackError {
        let found = self.next * self.inputs + more;
        PackError::Length { found, outputs: self.outputs, inputs: self.inputs }
    }
}

impl PackedLinear {
    /// Packs `weight`, row-major `[outputs, inputs]` as in Hugging Face files.
    ///
    /// # Errors
    /// [`PackError::Length`], [`PackError::Blocks`].
    pub fn new(
        format: WeightFormat,
        weight: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, PackError> {
        check_length(weight, outputs, inputs)?;
        let mut packer = LinearPacker::new(format, outputs, inputs)?;
        packer.push(weight)?;
        packer.finish()
    }

    /// Several operators of the same inputs as one, whose outputs lie side by side.
    ///
    /// # Errors
    /// [`PackError::Stacked`].
    pub fn stacked(parts: impl IntoIterator<Item = Self>) -> Result<Self, PackError> {
        let mut parts = parts.into_iter();
        let Some(mut whole) = parts.next() else {
            return Ok(Self { inputs: 0, outputs: 0, sections: Vec::new() });
        };
        for part in parts {
            if part.inputs != whole.inputs {
                return Err(PackError::Stacked { first: whole.inputs, other: part.inputs });
            }
            let from = whole.outputs;
            whole.sections.extend(part.sections.into_iter().map(|section| Section {
                outputs: section.outputs.start + from..section.outputs.end + from,
                ..section
            }));
            whole.outputs += part.outputs;
        }
        Ok(whole)
    }

    /// The weights of one output, as they are after rounding.
    ///
    /// # Panics
    /// Where there is no such output, or `weights` is not as long as a row.
    pub fn row(&self, output: usize, weights: &mut [f32]) {
        assert_eq!(weights.len(), self.inputs, "a row has another length");
        assert!(output < self.outputs, "there is no output {output}");
        let at = self.sections.partition_point(|section| section.outputs.end <= output);
        let section = &self.sections[at];
        let output = output - section.outputs.start;
        match &section.panels {
            Panels::F32(lanes) => {
                let (panel, column) = (output / PANEL, output % PANEL);
                for (input, weight) in weights.iter_mut().enumerate() {
                    let lane = lanes[(panel * self.inputs + input) * 2 + column / LANE];
                    *weight = lane.0[column % LANE];
                }
            }
            Panels::Blocks(blocks) => blocks.row(output, weights),
        }
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
        let bytes = self.sections.iter().map(|section| match &section.panels {
            Panels::F32(lanes) => size_of_val(lanes.as_slice()),
            Panels::Blocks(weights) => weights.bytes(),
        });
        bytes.sum()
    }

    /// `y = x Wᵀ` for `rows` rows.
    pub fn store(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>) {
        self.run_alone(x, rows, y, false);
    }

    /// `y += x Wᵀ` for `rows` rows.
    pub fn add(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>) {
        self.run_alone(x, rows, y, true);
    }

    fn run_alone(&self, x: Strided<'_>, rows: usize, y: StridedMut<'_>, add: bool) {
        ROUNDED.with_borrow_mut(|rounded| {
            let input = self.prepare(x, rows, rounded);
            for columns in y.split_columns(rows, std::iter::once(0..self.outputs)) {
                self.run(input, columns, add);
            }
        });
    }

    /// Rounds rows of inputs where the weights are rounded; `rounded` keeps them.
    ///
    /// # Panics
    /// Where `x` has fewer rows.
    pub fn prepare<'a>(
        &self,
        x: Strided<'a>,
        rows: usize,
        rounded: &'a mut Q8Rows,
    ) -> LinearInput<'a> {
        let needed = if rows == 0 { 0 } else { (rows - 1) * x.stride + self.inputs };
        assert!(x.data.len() >= needed, "input rows are missing");
        let rounded = if self.rounds() {
            // Rows whose outputs are kept as floats alone may have any width.
            rounded.round(x, rows, self.inputs / CHUNK * CHUNK);
            Some(&*rounded)
        } else {
            None
        };
        LinearInput { x, rows, rounded }
    }

    /// Whether products are of rounded activations.
    fn rounds(&self) -> bool {
        self.sections.iter().any(|section| matches!(section.panels, Panels::Blocks(_)))
    }

    /// Every panel's outputs, in order.
    fn panels(&self) -> impl Iterator<Item = (&Section, usize, Range<usize>)> {
        self.sections.iter().flat_map(|section| {
            let Range { start, end } = section.outputs;
            let starts = (start..end).step_by(PANEL).enumerate();
            starts.map(move |(at, from)| (section, at, from..(from + PANEL).min(end)))
        })
    }

    /// Cuts the outputs into at most `parts` ranges that [`Self::run`] can compute by themselves.
    pub fn ranges(&self, parts: usize) -> impl Iterator<Item = Range<usize>> {
        let starts: Vec<usize> = self.panels().map(|(_, _, outputs)| outputs.start).collect();
        let parts = parts.clamp(1, starts.len().max(1));
        let outputs = self.outputs;
        let start =
            move |part: usize| starts.get(starts.len() * part / parts).copied().unwrap_or(outputs);
        (0..parts).map(move |part| start(part)..start(part + 1))
    }

    /// Computes the columns of `y`, which are a range of [`Self::ranges`]; `add` keeps what is there.
    ///
    /// # Panics
    /// Where `input` was prepared for another operator, or `y` has other columns or rows.
    pub fn run(&self, input: LinearInput<'_>, mut y: ColumnsMut<'_>, add: bool) {
        let columns = y.columns.clone();
        assert!(input.rows <= y.rows, "output rows are missing");
        assert_eq!(input.rounded.is_some(), self.rounds(), "the input is for another operator");
        let mut next = columns.start;
        for (section, at, outputs) in self.panels() {
            if outputs.start < columns.start || outputs.start >= columns.end {
                continue;
            }
            assert!(outputs.start == next && outputs.end <= columns.end, "columns cut a panel");
            next = outputs.end;
            match &section.panels {
                Panels::F32(lanes) => {
                    self.run_f32(self.panel(lanes, at), input, &mut y, &outputs, add);
                }
                Panels::Blocks(weights) => {
                    if let Some(rounded) = input.rounded {
                        let panel = weights.panel(at);
                        run_blocks(panel, rounded, input.rows, &mut y, &outputs, add);
                    }
                }
            }
        }
        assert_eq!(next, columns.end, "columns beyond the outputs");
    }

    fn run_f32(
        &self,
        panel: Panel<'_>,
        input: LinearInput<'_>,
        y: &mut ColumnsMut<'_>,
        columns: &Range<usize>,
        add: bool,
    ) {
        let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
        let mut row = 0;
        while row < input.rows {
            let height = tile_height(input.rows - row);
            let x = Strided { data: &input.x.data[row * input.x.stride..], ..input.x };
            panel.multiply(x, self.inputs, height, &mut tile);
            for (at, sums) in tile[..height].iter().enumerate() {
                write_row(sums, y.row(row + at, columns.clone()), add);
            }
            row += height;
        }
    }

    fn panel<'a>(&self, lanes: &'a [Lane], panel: usize) -> Panel<'a> {
        let size = self.inputs * 2;
        Panel(&lanes[panel * size..(panel + 1) * size])
    }
}

fn run_blocks(
    panel: BlockPanel<'_>,
    rounded: &Q8Rows,
    rows: usize,
    y: &mut ColumnsMut<'_>,
    columns: &Range<usize>,
    add: bool,
) {
    let mut tile = BlockTile::default();
    let mut row = 0;
    while row < rows {
        let height = packed_blocks::tile_height(rows - row);
        panel.multiply(rounded, row, height, &mut tile);
        for (at, sums) in tile[..height].iter().enumerate() {
            write_row(sums, y.row(row + at, columns.clone()), add);
        }
        row += height;
    }
}

thread_local! {
    /// Activations in 8 bits, kept from call to call.
    static ROUNDED: RefCell<Q8Rows> = RefCell::default();
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

/// Stores or adds one row's sums.
#[inline(always)]
fn write_row(sums: &[Lane; 2], y: &mut [f32], add: bool) {
    for (y, sum) in y.chunks_mut(LANE).zip(sums) {
        match <&mut [f32; LANE]>::try_from(&mut *y) {
            Ok(y) if add => *y = std::array::from_fn(|at| y[at] + sum.0[at]),
            Ok(y) => *y = sum.0,
            Err(_) if add => y.iter_mut().zip(&sum.0).for_each(|(y, sum)| *y += sum),
            Err(_) => y.copy_from_slice(&sum.0[..y.len()]),
        }
    }
}

/// The weights of 32 outputs: per input, two lanes.
#[derive(Clone, Copy)]
struct Panel<'a>(&'a [Lane]);

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
        let weights = &panel.0[2 * input..][..2];
        for (row, sums) in sums.iter_mut().enumerate() {
            let value = x.data[row * x.stride + input];
            for (sums, weights) in sums.iter_mut().zip(weights) {
                for (sum, &weight) in sums.0.iter_mut().zip(&weights.0) {
                    *sum = multiply_add::<BASELINE_FUSES>(value, weight, *sum);
                }
            }
        }
    }
    *tile = sums;
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx512 {
    //! Tiles with 512-bit vectors: 24 of the 32 registers hold sums.

    use std::arch::x86_64::{
        __m512, _mm512_fmadd_ps, _mm512_load_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_store_ps,
    };

    use super::{Lane, Panel, Strided};

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
        for (input, pair) in panel.0[..2 * inputs].chunks_exact(2).enumerate() {
            // SAFETY: lanes are 64-byte aligned; `x` is covered by the caller.
            unsafe {
                let low = _mm512_load_ps(pair[0].0.as_ptr());
                let high = _mm512_load_ps(pair[1].0.as_ptr());
                accumulate(&mut sums, x_start.add(input), x.stride, low, high);
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
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod avx2 {
    //! Tiles with 256-bit vectors: a quarter of a panel at a time, so that 12 rows fit 16 registers.

    use std::arch::x86_64::{
        __m256, _mm256_fmadd_ps, _mm256_load_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_store_ps,
    };

    use super::{Lane, Panel, Strided};

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
            for (input, pair) in panel.0[..2 * inputs].chunks_exact(2).enumerate() {
                // SAFETY: half a lane is 32-byte aligned; `x` is covered by the caller.
                unsafe {
                    let weights = _mm256_load_ps(pair[half].0[offset..].as_ptr());
                    accumulate(&mut sums, x_start.add(input), x.stride, weights);
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
}

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    use super::{
        InstructionSet, Lane, MAX_TILE_ROWS, PackedLinear, Panels, Q8Rows, Strided, baseline_tile,
        packed_blocks,
    };

    /// The first outputs of one row, by plain Rust.
    pub(in super::super) fn baseline_lanes(linear: &PackedLinear, x: &[f32]) -> [Lane; 2] {
        let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
        let row = Strided { data: x, stride: x.len() };
        match &linear.sections[0].panels {
            Panels::F32(lanes) => {
                let panel = linear.panel(lanes, 0);
                baseline_tile(panel, row, linear.inputs, tile.first_chunk_mut::<1>());
                tile[0]
            }
            Panels::Blocks(weights) => {
                packed_blocks::variants::baseline_lanes(weights.panel(0), &rounded(row))
            }
        }
    }

    /// The same by AVX2, where there is one.
    #[expect(unsafe_code, reason = "the instruction set was detected")]
    pub(in super::super) fn avx2_lanes(linear: &PackedLinear, x: &[f32]) -> Option<[Lane; 2]> {
        let row = Strided { data: x, stride: x.len() };
        let lanes = match &linear.sections[0].panels {
            Panels::F32(lanes) => lanes,
            Panels::Blocks(weights) => {
                return packed_blocks::variants::avx2_lanes(weights.panel(0), &rounded(row));
            }
        };
        #[cfg(target_arch = "x86_64")]
        if super::instruction_set() != InstructionSet::Baseline {
            let mut tile = [[Lane::ZERO; 2]; MAX_TILE_ROWS];
            let panel = linear.panel(lanes, 0);
            // SAFETY: both wider sets include AVX2, and `row` is one row.
            unsafe {
                super::avx2::tile(panel, row, linear.inputs, tile.first_chunk_mut::<1>());
            }
            return Some(tile[0]);
        }
        None
    }

    fn rounded(row: Strided<'_>) -> Q8Rows {
        let mut rounded = Q8Rows::default();
        rounded.round(row, 1, row.stride);
        rounded
    }
}
