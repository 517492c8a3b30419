//! From logged traffic to a dataset version: filter, correct, scrub, deduplicate, split, describe. Cannot reach a store.
