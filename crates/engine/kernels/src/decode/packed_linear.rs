//! `y = x Wᵀ` with `W` laid out once, at load, in the order in which the inner loop reads it.
//!
//! `W` is cut into panels of 32 outputs, of floats (`float_panels`) or of blocks (`packed_blocks`).

use std::cell::RefCell;
use std::ops::Range;

use super::float_panels::{self, FloatFormat, FloatPanel, FloatTile, FloatWeights};
use super::lane::{LANE, Lane};
use super::linear_rows::{ColumnsMut, Strided, StridedMut};
use super::packed_blocks::{self, BlockPanel, BlockTile, BlockWeights};
use super::rounded_rows::Q8Rows;
use super::weight_memory::WeightMemory;
use crate::blocks::{BlockFormat, CHUNK};

/// Outputs of a panel.
pub(super) const PANEL: usize = 2 * LANE;

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
    /// Half as long; the largest are 65,504, and 11 bits tell a number.
    F16,
    /// In ggml's blocks.
    Blocks(BlockFormat),
}

/// A linear operator without bias, ready to run.
#[derive(Debug)]
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    sections: Vec<Section>,
}

/// Neighboring outputs whose weights are kept in one way.
#[derive(Debug)]
struct Section {
    outputs: Range<usize>,
    panels: Panels,
}

#[derive(Debug)]
enum Panels {
    Floats(FloatWeights),
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
    /// For a weight of `[outputs, inputs]`, which will lie in `memory`.
    ///
    /// # Errors
    /// [`PackError::Blocks`].
    pub fn new(
        format: WeightFormat,
        outputs: usize,
        inputs: usize,
        memory: &mut WeightMemory,
    ) -> Result<Self, PackError> {
        let mut floats = |format| FloatWeights::new(format, outputs, inputs, memory);
        let panels = match format {
            WeightFormat::F32 => Panels::Floats(floats(FloatFormat::F32)),
            WeightFormat::F16 => Panels::Floats(floats(FloatFormat::F16)),
            WeightFormat::Blocks(format) if format.fits(inputs) => {
                Panels::Blocks(BlockWeights::new(format, outputs, inputs, memory))
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
        if let Panels::Floats(weights) = &mut self.panels {
            for (output, row) in (self.next..).zip(rows.chunks_exact(self.inputs.max(1))) {
                weights.set_row(output, row);
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
    /// Packs `weight`, row-major `[outputs, inputs]` as in Hugging Face files, into `memory`.
    ///
    /// # Errors
    /// [`PackError::Length`], [`PackError::Blocks`].
    pub fn new(
        format: WeightFormat,
        weight: &[f32],
        outputs: usize,
        inputs: usize,
        memory: &mut WeightMemory,
    ) -> Result<Self, PackError> {
        check_length(weight, outputs, inputs)?;
        let mut packer = LinearPacker::new(format, outputs, inputs, memory)?;
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
            Panels::Floats(floats) => floats.row(output, weights),
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
            Panels::Floats(weights) => weights.bytes(),
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
    pub fn rounds(&self) -> bool {
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
                Panels::Floats(weights) => {
                    self.run_floats(weights.panel(at), input, &mut y, &outputs, add);
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

    fn run_floats(
        &self,
        panel: FloatPanel<'_>,
        input: LinearInput<'_>,
        y: &mut ColumnsMut<'_>,
        columns: &Range<usize>,
        add: bool,
    ) {
        let mut tile = FloatTile::default();
        let mut row = 0;
        while row < input.rows {
            let height = float_panels::tile_height(input.rows - row);
            let x = Strided { data: &input.x.data[row * input.x.stride..], ..input.x };
            panel.multiply(x, self.inputs, height, &mut tile);
            for (at, sums) in tile[..height].iter().enumerate() {
                write_row(sums, y.row(row + at, columns.clone()), add);
            }
            row += height;
        }
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

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    use super::{Lane, PackedLinear, Panels, Q8Rows, Strided, float_panels, packed_blocks};

    /// The first outputs of one row, by plain Rust.
    pub(in super::super) fn baseline_lanes(linear: &PackedLinear, x: &[f32]) -> [Lane; 2] {
        let row = Strided { data: x, stride: x.len() };
        match &linear.sections[0].panels {
            Panels::Floats(weights) => {
                float_panels::variants::baseline_lanes(weights.panel(0), row)
            }
            Panels::Blocks(weights) => {
                packed_blocks::variants::baseline_lanes(weights.panel(0), &rounded(row))
            }
        }
    }

    /// The same by AVX2, where there is one.
    pub(in super::super) fn avx2_lanes(linear: &PackedLinear, x: &[f32]) -> Option<[Lane; 2]> {
        let row = Strided { data: x, stride: x.len() };
        match &linear.sections[0].panels {
            Panels::Floats(weights) => float_panels::variants::avx2_lanes(weights.panel(0), row),
            Panels::Blocks(weights) => {
                packed_blocks::variants::avx2_lanes(weights.panel(0), &rounded(row))
            }
        }
    }

    fn rounded(row: Strided<'_>) -> Q8Rows {
        let mut rounded = Q8Rows::default();
        rounded.round(row, 1, row.stride);
        rounded
    }
}
