//! One full turn of the wheel as a client of the API: the telco desk, banking77, the report.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

pub mod banking77;
pub mod telco;
