//! Exact and near duplicates. Pure: cannot reach files, clocks or the network.
//!
//! [`exact_key`] tells texts apart by their normalized content; [`Clusters::find`] groups texts
//! whose word shingles overlap: MinHash bands propose pairs, the true Jaccard similarity decides.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod bands;
mod exact;
mod near_duplicates;
mod shingles;
mod signature;
mod union_find;

pub use bands::Bands;
pub use exact::{exact_key, normalize};
pub use near_duplicates::Clusters;
pub use shingles::{Shingles, jaccard};
