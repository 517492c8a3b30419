//! The request path, stage by stage. Cannot reach a database: what it needs comes in through traits.
