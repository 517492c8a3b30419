//! Forward operators of the serving engine, on plain `f32` slices.
//!
//! Every operator treats its rows independently and adds up each output in one fixed order, so that a
//! token's numbers are the same, bit for bit, whatever else is in the batch, however the prompt was cut
//! into chunks and whether a prefix came from the cache. That is why the engine has its own linear
//! operator: a general matrix product picks another summation order for one row than for many.

mod activations;
mod encoder_rows;
mod float_panels;
mod instruction_set;
mod lane;
mod linear_rows;
mod packed_blocks;
mod packed_linear;
mod paged_attention;
mod rounded_rows;
mod vector;
mod weight_memory;

pub use activations::{RopeTable, add_rows, rms_norm, swiglu};
pub use encoder_rows::{gelu, layer_norm, softmax_rows};
pub use lane::{LANE, Lane};
pub use linear_rows::{ColumnsMut, Strided, StridedMut};
pub use packed_linear::{LinearInput, LinearPacker, PackError, PackedLinear, WeightFormat};
pub use paged_attention::{BLOCK_TOKENS, BlockShape, KvBlock, MAX_HEAD_DIM, Queries, attend};
pub use rounded_rows::Q8Rows;
pub use weight_memory::WeightMemory;

#[cfg(test)]
mod tests;
