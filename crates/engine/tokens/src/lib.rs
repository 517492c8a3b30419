//! Tokenizer and chat template of a model folder. Cannot reach the network or async.
//!
//! [`TextCodec`] is what the serving engine and the trainer share: the same folder gives the same
//! tokens in both, so an adapter is trained on exactly what it will be asked.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod byte_tokenizer;
mod chat_template;
mod detokenize;
mod error;
mod gguf_vocabulary;
mod guarded_messages;
mod message;
mod python_json;
mod sequence_tokenizer;
mod text_codec;
mod token_bytes;

pub use byte_tokenizer::{BYTE_VOCAB_SIZE, CHAT_TEMPLATE, write_byte_tokenizer};
pub use chat_template::{ChatTemplate, TemplateOptions};
pub use detokenize::Detokenizer;
pub use error::TokensError;
pub use gguf_vocabulary::GgufVocabulary;
pub use message::Message;
pub use sequence_tokenizer::{EncodedSequence, SequenceTokenizer};
pub use text_codec::{RenderedExample, TextCodec};
pub use token_bytes::TokenBytes;

#[cfg(test)]
mod tests;
