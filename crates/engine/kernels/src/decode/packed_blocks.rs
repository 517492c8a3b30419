//! Products of quantized weights with 8-bit activations.
//!
//! A row of activations is rounded to 8 bits when it comes in, as ggml does it, so that the products of up to
//! 32 integers are summed exactly; only these sums, each times both scales, are added up in floats, always in
//! the order of the inputs. Four inputs' weights of 16 outputs fill one cache line, which is what one
//! instruction (`vpdpbusd`) multiplies and adds. It takes its first factor unsigned: weights stay as far above
//! zero as their format keeps them, and the offset times the sum of the activations is taken off again.
//!
//! Weights are kept in panels of 32 outputs, and everything about 32 inputs of a panel lies together, in one
//! stream: the integers' low bits, their high bits, their scales; before 256 inputs, where the format has
//! super-blocks, the scales of these.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod baseline;
#[cfg(target_arch = "x86_64")]
mod vnni;

use half::f16;

use super::instruction_set::{InstructionSet, instruction_set};
use super::lane::{LANE, Lane};
use super::packed_linear::PANEL;
use super::rounded_rows::{Q8Row, Q8Rows};
use super::weight_memory::{Line, WeightMemory, Weights};
use crate::blocks::{BlockFormat, CHUNK, Chunk};

/// Inputs that one instruction takes per output.
const QUAD: usize = 4;
const QUADS: usize = CHUNK / QUAD;
/// Chunks of a super-block.
const SUPER_CHUNKS: usize = 8;
/// Rows whose sums fit the registers beside the integers of a chunk.
const MAX_ROWS: usize = 6;

/// How a format lies in lines. Of a chunk, each of the two halves of a panel (16 outputs) has, in turn:
/// - lines of 4 inputs in 8 bits; or of 8 inputs in 4 bits, the first four in the low bits,
/// - a line of all inputs' fifth bits; or two lines of 16 inputs' fifth and sixth bits,
///
/// and a line of scales for all 32 outputs follows.
trait Layout {
    /// Whether integers' low 4 bits are packed apart.
    const NIBBLES: bool;
    /// How many further bits there are.
    const HIGH_BITS: usize;
    /// Parts of a chunk with scales of their own.
    const PARTS: usize = 1;
    /// Lines of scales before a super-block.
    const DELTAS: usize = 0;

    /// Lines of integers per chunk.
    const QUANT_LINES: usize = if Self::NIBBLES { 8 + 2 * Self::HIGH_BITS } else { 16 };
    /// Lines per chunk.
    const LINES: usize = Self::QUANT_LINES + 1;
    /// What integers are above the weights'.
    const OFFSET: i32;
}

macro_rules! layouts {
    ($($name:ident { $($constant:ident: $kind:ty = $value:expr),* $(,)? })*) => {
        $(
            #[derive(Debug, Clone, Copy)]
            struct $name;
            impl Layout for $name {

                $(const $constant: $kind = $value;)*
            }
        )*

        /// Runs a generic expression for the layout of a format.
        macro_rules! with_layout {
            ($format:expr, $layout:ident => $body:expr) => {
                match $format {
                    $(BlockFormat::$name => {
                        type $layout = $name;
                        $body
                    })*
                }
            };
        }
    };
}

layouts! {
    Q4_0 { NIBBLES: bool = true, HIGH_BITS: usize = 0, OFFSET: i32 = 8 }
    Q5_0 { NIBBLES: bool = true, HIGH_BITS: usize = 1, OFFSET: i32 = 16 }
    Q8_0 { NIBBLES: bool = false, HIGH_BITS: usize = 0, OFFSET: i32 = 128 }
    Q4K { NIBBLES: bool = true, HIGH_BITS: usize = 0, OFFSET: i32 = 0, DELTAS: usize = 2 }
    Q5K { NIBBLES: bool = true, HIGH_BITS: usize = 1, OFFSET: i32 = 0, DELTAS: usize = 2 }
    Q6K {
        NIBBLES: bool = true, HIGH_BITS: usize = 2, OFFSET: i32 = 32, DELTAS: usize = 1,
        PARTS: usize = 2,
    }
}

/// The first line of a chunk; the lines of its super-block's scales end before `chunk % 8` chunks.
#[inline(always)]
const fn chunk_line<L: Layout>(chunk: usize) -> usize {
    let groups = if L::DELTAS == 0 { 0 } else { chunk / SUPER_CHUNKS + 1 };
    groups * L::DELTAS + chunk * L::LINES
}

/// The first line of the scales of a chunk's super-block.
#[inline(always)]
const fn delta_line<L: Layout>(chunk: usize) -> usize {
    chunk / SUPER_CHUNKS * (L::DELTAS + SUPER_CHUNKS * L::LINES)
}

/// Lines of a panel.
fn panel_lines<L: Layout>(chunks: usize) -> usize {
    chunks * L::LINES + chunks / SUPER_CHUNKS * L::DELTAS
}

/// A weight matrix in panels of 32 outputs.
#[derive(Debug)]
pub(super) struct BlockWeights {
    format: BlockFormat,
    chunks: usize,
    lines: Weights,
}

impl BlockWeights {
    /// Zeros; `inputs` are whole blocks.
    pub(super) fn new(
        format: BlockFormat,
        outputs: usize,
        inputs: usize,
        memory: &mut WeightMemory,
    ) -> Self {
        let chunks = inputs / CHUNK;
        let lines = with_layout!(format, L => panel_lines::<L>(chunks));
        Self { format, chunks, lines: memory.take(outputs.div_ceil(PANEL) * lines) }
    }

    /// Takes the blocks of one output's weights.
    pub(super) fn set_row(&mut self, output: usize, blocks: &[u8]) {
        let (format, chunks, column) = (self.format, self.chunks, output % PANEL);
        with_layout!(format, L => {
            let lines = panel_lines::<L>(chunks);
            let panel = &mut self.lines[output / PANEL * lines..][..lines];
            for at in 0..chunks {
                put_chunk::<L>(panel, at, column, &format.chunk(blocks, at));
            }
        });
    }

    /// The weights of one output.
    pub(super) fn row(&self, output: usize, weights: &mut [f32]) {
        let (format, chunks, column) = (self.format, self.chunks, output % PANEL);
        with_layout!(format, L => {
            let lines = panel_lines::<L>(chunks);
            let panel = &self.lines[output / PANEL * lines..][..lines];
            for (at, weights) in weights.as_chunks_mut::<CHUNK>().0.iter_mut().enumerate() {
                *weights = chunk_of::<L>(panel, at, column).weights(format);
            }
        });
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.lines)
    }

    pub(super) fn panel(&self, panel: usize) -> BlockPanel<'_> {
        let lines = with_layout!(self.format, L => panel_lines::<L>(self.chunks));
        BlockPanel {
            format: self.format,
            chunks: self.chunks,
            lines: &self.lines[panel * lines..(panel + 1) * lines],
        }
    }
}

/// Where an input's integer lies among a chunk's lines, for the outputs of a half.
struct Place {
    line: usize,
    shift: usize,
    /// The line and shift of its further bits.
    high: Option<(usize, usize)>,
}

fn place<L: Layout>(input: usize, half: usize) -> Place {
    let quad = input / QUAD;
    if !L::NIBBLES {
        return Place { line: 2 * quad + half, shift: 0, high: None };
    }
    let high = match L::HIGH_BITS {
        0 => None,
        1 => Some((8 + half, quad)),
        _ => Some((8 + quad / 4 * 2 + half, quad % 4 * 2)),
    };
    Place { line: quad / 2 * 2 + half, shift: quad % 2 * 4, high }
}

fn put_chunk<L: Layout>(panel: &mut [Line], chunk: usize, column: usize, from: &Chunk) {
    let (half, byte) = (column / LANE, column % LANE * QUAD);
    if L::DELTAS > 0 && chunk.is_multiple_of(SUPER_CHUNKS) {
        let deltas = &mut panel[delta_line::<L>(chunk)..][..L::DELTAS];
        for (line, delta) in deltas.iter_mut().zip(from.deltas) {
            line.0[2 * column..][..2].copy_from_slice(&delta.to_le_bytes());
        }
    }
    let lines = &mut panel[chunk_line::<L>(chunk)..][..L::LINES];
    for (input, &quant) in from.quants.iter().enumerate() {
        let place = place::<L>(input, half);
        let byte = byte + input % QUAD;
        let low = if L::NIBBLES { quant & 15 } else { quant };
        lines[place.line].0[byte] |= low << place.shift;
        if let Some((line, shift)) = place.high {
            lines[line].0[byte] |= quant >> 4 << shift;
        }
    }
    let [first, second] = scale_bytes::<L>(column);
    lines[L::QUANT_LINES].0[first] = from.scales[0];
    lines[L::QUANT_LINES].0[second] = from.scales[1];
}

fn chunk_of<L: Layout>(panel: &[Line], chunk: usize, column: usize) -> Chunk {
    let (half, byte) = (column / LANE, column % LANE * QUAD);
    let mut deltas = [f16::ZERO; 2];
    if L::DELTAS > 0 {
        let lines = &panel[delta_line::<L>(chunk)..][..L::DELTAS];
        for (delta, line) in deltas.iter_mut().zip(lines) {
            *delta = f16::from_le_bytes([line.0[2 * column], line.0[2 * column + 1]]);
        }
    }
    let lines = &panel[chunk_line::<L>(chunk)..][..L::LINES];
    let quants = std::array::from_fn(|input| {
        let place = place::<L>(input, half);
        let byte = byte + input % QUAD;
        let low = lines[place.line].0[byte];
        if !L::NIBBLES {
            return low;
        }
        let high = place.high.map_or(0, |(line, shift)| lines[line].0[byte] >> shift);
        low >> place.shift & 15 | (high & ((1 << L::HIGH_BITS) - 1)) << 4
    });
    let scales = scale_bytes::<L>(column).map(|byte| lines[L::QUANT_LINES].0[byte]);
    Chunk { quants, scales, deltas }
}

/// Where an output's two bytes of scales lie: side by side where they are one number of 16 bits.
fn scale_bytes<L: Layout>(column: usize) -> [usize; 2] {
    if L::DELTAS == 0 { [2 * column, 2 * column + 1] } else { [column, PANEL + column] }
}

/// The weights of 32 outputs.
#[derive(Clone, Copy)]
pub(super) struct BlockPanel<'a> {
    format: BlockFormat,
    chunks: usize,
    lines: &'a [Line],
}

/// Sums of some rows for 32 outputs.
pub(super) type BlockTile = [[Lane; 2]; MAX_ROWS];

/// How many of `rows` rows the next tile takes.
pub(super) fn tile_height(rows: usize) -> usize {
    match rows {
        6.. => 6,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

impl BlockPanel<'_> {
    /// `height` rows from the `first`-th on; `height` is one that [`tile_height`] gives.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "the instruction set was detected")
    )]
    pub(super) fn multiply(self, x: &Q8Rows, first: usize, height: usize, tile: &mut BlockTile) {
        #[cfg(target_arch = "x86_64")]
        macro_rules! by_height {
            ($kernel:ident) => {
                with_layout!(self.format, L => match height {
                    6 => $kernel::tile::<L, 6>(self, rows(x, first), tile.first_chunk_mut::<6>()),
                    4 => $kernel::tile::<L, 4>(self, rows(x, first), tile.first_chunk_mut::<4>()),
                    2 => $kernel::tile::<L, 2>(self, rows(x, first), tile.first_chunk_mut::<2>()),
                    _ => $kernel::tile::<L, 1>(self, rows(x, first), tile.first_chunk_mut::<1>()),
                })
            };
        }
        match Variant::best() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512 with VNNI.
            Variant::Vnni => unsafe { by_height!(vnni) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2, FMA and F16C.
            Variant::Avx2 => unsafe { by_height!(avx2) },
            Variant::Baseline => {
                with_layout!(self.format, L => baseline::tile::<L>(self, x, first, &mut tile[..height]));
            }
        }
    }

    /// Refuses a panel of another size, or rows that are shorter than it.
    #[cfg(target_arch = "x86_64")]
    fn check<L: Layout>(self, rows: &[Q8Row<'_>]) {
        assert!(self.lines.len() >= panel_lines::<L>(self.chunks), "weights are missing");
        for row in rows {
            assert!(row.quants.len() >= self.chunks * CHUNK, "activations are missing");
            assert!(row.scales.len() >= self.chunks, "scales are missing");
            assert!(row.sums.len() >= self.chunks, "sums are missing");
            assert!(row.totals.len() >= self.chunks, "totals are missing");
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn rows<const ROWS: usize>(x: &Q8Rows, first: usize) -> [Q8Row<'_>; ROWS] {
    std::array::from_fn(|row| x.row(first + row))
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

#[cfg(test)]
pub(super) mod variants {
    //! Every variant of a tile that this machine can run, for comparison.

    #[cfg(not(target_arch = "x86_64"))]
    use super::{BlockFormat, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
    #[cfg(target_arch = "x86_64")]
    use super::{BlockFormat, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, Variant, avx2, rows};
    use super::{BlockPanel, Lane, Q8Rows, baseline};

    /// The outputs of one row, by plain Rust.
    pub(in super::super) fn baseline_lanes(panel: BlockPanel<'_>, x: &Q8Rows) -> [Lane; 2] {
        let mut tile = [[Lane::ZERO; 2]; 1];
        with_layout!(panel.format, L => baseline::tile::<L>(panel, x, 0, &mut tile));
        tile[0]
    }

    /// The same by AVX2, where there is one.
    #[expect(unsafe_code, reason = "the instruction set was detected")]
    pub(in super::super) fn avx2_lanes(panel: BlockPanel<'_>, x: &Q8Rows) -> Option<[Lane; 2]> {
        #[cfg(target_arch = "x86_64")]
        if Variant::best() != Variant::Baseline {
            let mut tile = [[Lane::ZERO; 2]; 1];
            // SAFETY: both wider sets include AVX2, FMA and F16C.
            with_layout!(panel.format, L => unsafe {
                avx2::tile::<L, 1>(panel, rows(x, 0), Some(&mut tile));
            });
            return Some(tile[0]);
        }
        None
    }
}
