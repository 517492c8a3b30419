//! The seeded corpus, the tokenizer and the recipe of pelton-tiny. Cannot reach a store or HTTP.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

pub mod abilities;
pub mod conversation;
pub mod corpus;
pub mod draw;
pub mod error;
pub mod loss_curve;
pub mod model_card;
pub mod probe;
pub mod recipe;
pub mod regression;
pub mod source;
pub mod split;
pub mod tasks;
pub mod tokenizer;
pub mod words;

#[cfg(test)]
mod tests;
