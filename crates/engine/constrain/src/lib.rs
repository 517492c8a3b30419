//! Constrained decoding: a grammar becomes, token by token, the set of tokens that may come next.
//!
//! llguidance parses the grammar and computes the sets; this crate gives it the tokenizer's bytes, bounds what a
//! grammar from outside may cost, and says in one sentence what is wrong with a bad one.

mod compiler;
mod constraint;
mod grammar;

pub use compiler::Compiler;
pub use constraint::{Broken, Constraint};
pub use grammar::{Grammar, GrammarError, bound_white_space};

#[cfg(test)]
mod tests;
