//! Finds and masks personal data in text: e-mail addresses, phone numbers, payment-card numbers.
//! Pure: cannot reach files, clocks or the network.
//!
//! Every candidate is validated (Luhn and issuer ranges for cards, digit counts and grouping for
//! phones, host syntax for e-mail), because a mask over a date, an amount or an order number
//! destroys the very data that a model should learn from.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")
)]

mod card;
mod email;
mod kind;
mod phone;
mod scrub;

#[cfg(test)]
mod presidio_tests;

pub use kind::{Counts, Kind, UnknownKind};
pub use scrub::{Finding, find, scrub};
