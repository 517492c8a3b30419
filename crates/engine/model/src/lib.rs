//! The parametric decoder: configuration, weights, adapters, layers. Cannot reach HTTP or async.
//!
//! A model folder in Hugging Face layout becomes a [`BaseModel`]: one flat buffer of f32 weights
//! with a [`Layout`] that says where each tensor lies. The trainer works on that buffer, the
//! serving engine packs its own from it. An [`Adapter`] is a folder in PEFT layout.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod adapter;
mod adapter_config;
mod base_model;
mod config;
mod error;
mod initialize;
mod layout;
mod precision;
mod projection;
mod rotary;
mod tensor_file;
mod write_atomically;

#[cfg(test)]
mod tests;

pub use adapter::{Adapter, LoraPair};
pub use adapter_config::AdapterConfig;
pub use base_model::{BaseModel, WeightFiles};
pub use config::DecoderConfig;
pub use error::ModelError;
pub use initialize::SeededNormal;
pub use layout::{LayerLayout, Layout, Span};
pub use precision::Precision;
pub use projection::Projection;
pub use rotary::Rotary;
pub use tensor_file::{TensorFile, TensorToWrite, write_tensor_file};
pub use write_atomically::write_atomically;
