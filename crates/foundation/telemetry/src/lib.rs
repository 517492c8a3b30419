//! Structured logs and Prometheus metrics of Pelton itself. Cannot reach a store.
