//! The engine as a child process that speaks OpenAI's dialect on a local socket. Cannot reach a store.
//!
//! [`serve`] loads a model, prints one line of JSON on standard output when it can answer, and serves
//! until its standard input closes, which happens when its parent is gone:
//!
//! ```text
//! {"ready":true,"addr":"127.0.0.1:40123","model":"pelton-tiny","context_length":1024}
//! ```
//!
//! `POST /v1/chat/completions`, `POST /v1/completions`, `GET /v1/models`, `POST /v1/load_lora_adapter`,
//! `POST /v1/unload_lora_adapter`, `POST /tokenize`, `POST /detokenize`, `GET /tokenizer_info`, `GET /metrics`,
//! `GET /healthz`; for models that read, `POST /v1/embeddings` and `POST /v1/rerank`. Names and shapes are vLLM's where OpenAI has none.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod adapters;
mod answer;
mod answer_format;
mod authorize;
mod chat;
mod chat_body;
mod completion_body;
mod completions;
mod embeddings;
mod error;
mod generation_defaults;
mod gguf_text;
mod memory;
mod metrics;
mod models;
mod options;
mod reading;
mod rerank;
mod router;
mod runs;
mod sampling_body;
mod serve;
mod split_answer;
mod split_reasoning;
mod split_tool_calls;
mod state;
mod token_scores;
mod tokenize;
mod tool_format;

pub use error::ServeError;
pub use gguf_text::{load_codec, vocabulary_metadata};
pub use options::{Bind, EngineOptions};
pub use serve::serve;

#[cfg(test)]
mod tests;
