//! Typed configuration, parsed once. The only crate that knows the configuration file's shape; cannot reach the network or a store.
