//! The gateway against mock upstreams: one binary, since linking is slow.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ends;
mod kinds;
mod resilience;
mod routing;
mod streams;
mod world;
