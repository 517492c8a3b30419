//! The one HTTP client for outbound requests, with its SSRF policy. Nothing else may open an
//! outbound connection.
//!
//! An address is checked when it is about to be connected to, after its name was resolved, so
//! that a name which changes its address between check and use gains nothing. Redirects are never
//! followed: an answer of that kind is given back as it is.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod address_policy;
mod client;
mod inbound;
mod resolve;

pub use address_policy::{Reach, forbidden};
pub use client::{Egress, EgressError, EgressSettings, Outbound};
pub use inbound::Inbound;
