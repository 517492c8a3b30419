//! Trains adapters and small models with hand-written gradients. Cannot reach a store or HTTP.

mod example;

pub use example::{Example, ExampleSource};
