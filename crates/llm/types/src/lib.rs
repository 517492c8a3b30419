//! One vocabulary for requests, answers and streams. Cannot reach I/O.
//!
//! A request stays the bytes that the caller sent: what is needed is read from them, and what must
//! change is edited by span, so that fields unknown here reach the upstream untouched. Answers
//! and stream chunks are read the same way; [`Gather`] folds a stream into the answer that the
//! unary call would have given.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod answer;
mod edit;
mod error_body;
mod gather;
mod message;
mod request;
mod request_kind;
mod sampling;
mod sse;
mod usage;

pub use answer::{Answer, AnswerMessage, Choice, Chunk, ChunkChoice, Delta, ToolCallDelta};
pub use edit::Edit;
pub use error_body::{ErrorBody, ErrorDetail};
pub use gather::Gather;
pub use message::{Content, FunctionCall, Message, ToolCall, text_of};
pub use request::{BadRequest, InferenceRequest};
pub use request_kind::RequestKind;
pub use sampling::{Sampling, Stop};
pub use sse::{Frame, FrameTooLong, SseReader, encode_data, encode_done};
pub use usage::{CompletionDetails, PromptDetails, TokenUsage, Usage};
