//! Forward and backward operators over tensors on the CPU. Cannot reach files, threads of its own,
//! or async.
//!
//! Operators work on row-major slices, for `f32` in production and for `f64` where tests compare
//! gradients with finite differences. They allocate nothing beyond the scratch they are given, use
//! one thread (callers run one sequence group per thread), and always sum in the same order.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]
#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed together")]

#[macro_use]
mod vectorize;

pub mod blocks;
pub mod decode;

mod adamw;
mod attention;
mod bias;
mod cross_entropy;
mod embedding;
mod gradient_norm;
mod linear;
mod matmul;
mod muon;
mod q8_matrix;
mod real;
mod rms_norm;
mod rope;
mod swiglu;
mod weight;

#[cfg(test)]
mod finite_differences;
#[cfg(test)]
mod tests;

pub use adamw::{AdamW, adamw_step};
pub use attention::{AttentionScratch, AttentionShape, attention_backward, attention_forward};
pub use bias::{add_bias, bias_backward};
pub use cross_entropy::{
    HeadLoss, HeadLossScratch, LossRows, Reference, SoftTargets, head_log_probabilities, head_loss,
    head_loss_backward,
};
pub use embedding::{embedding_backward, embedding_forward};
pub use gradient_norm::{scale, sum_of_squares};
pub use linear::{linear_backward_input, linear_backward_weight, linear_forward};
pub use matmul::{Into, Matrix, MatrixMut, matmul};
pub use muon::{MuonScratch, orthogonalize};
pub use q8_matrix::{NotInBlocks, Q8Matrix};
pub use real::Real;
pub use rms_norm::{rms_norm_backward, rms_norm_forward};
pub use rope::{RopeTable, rope_backward, rope_forward};
pub use swiglu::{swiglu_backward, swiglu_forward};
pub use weight::Weight;
