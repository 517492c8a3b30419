//! The parametric decoder: configuration, weights, adapters, layers. Cannot reach HTTP or async.
//!
//! A [`WeightSource`] is a model folder in Hugging Face layout or a GGUF file, opened but not read. The
//! serving engine packs its weights from there, tensor by tensor; the trainer works on a [`BaseModel`], one
//! flat buffer of f32 weights with a [`Layout`] that says where each tensor lies. An [`Adapter`] is a folder
//! in PEFT layout.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod adapter;
mod adapter_config;
mod base_model;
mod config;
mod error;
mod gguf;
mod initialize;
mod layout;
mod model_files;
mod precision;
mod projection;
mod rotary;
mod tensor_file;
mod weight_source;
mod write_atomically;

#[cfg(test)]
mod tests;

pub use adapter::{Adapter, LoraPair};
pub use adapter_config::AdapterConfig;
pub use base_model::BaseModel;
pub use config::DecoderConfig;
pub use error::ModelError;
pub use gguf::{
    GgufFile, GgufKind, GgufModel, GgufTensor, GgufValue, GgufWriter, adapter_to_gguf,
    quantize_rows, quantize_to_gguf,
};
pub use initialize::SeededNormal;
pub use layout::{LayerLayout, Layout, Span};
pub use model_files::{ModelFiles, WeightFiles};
pub use precision::{Precision, UnknownPrecision};
pub use projection::Projection;
pub use rotary::Rotary;
pub use tensor_file::{TensorFile, TensorToWrite, write_tensor_file};
pub use weight_source::{WeightSource, gguf_file, model_config, open_model};
pub use write_atomically::write_atomically;
