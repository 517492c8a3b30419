//! Models that read and do not write: embeddings and reranking. Cannot reach HTTP or async.
//!
//! [`ReadingModel::load`] takes a folder in Hugging Face or sentence-transformers layout and makes of
//! it an [`Embedder`] (an encoder of the families BERT, RoBERTa and XLM-RoBERTa, or a decoder, with
//! pooling) or a [`Reranker`] (such an encoder with a classifier of one label). Sequences of a batch
//! lie one behind the other without padding, and each attends to itself alone, so that a text's
//! vector does not depend on what else is in the batch beyond rounding.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod batch;
mod config;
mod embedder;
mod encoder;
mod error;
mod pooling;
mod reading_model;
mod reranker;
mod weights;

pub use batch::Work;
pub use embedder::Embedder;
pub use error::EncoderError;
pub use reading_model::ReadingModel;
pub use reranker::Reranker;

#[cfg(test)]
mod tests;
