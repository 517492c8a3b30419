//! The binary as a whole: real processes, real stores, real sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod authorization;
mod bad_input;
mod chaos;
mod exports;
mod families;
mod finetunes;
mod pulls;
mod searches;
mod served;
mod server;
