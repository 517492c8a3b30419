//! The web console's files, embedded. Cannot reach a store.
