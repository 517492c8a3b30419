//! From logged traffic or an uploaded file to a dataset version: filter, correct, scrub,
//! deduplicate, split, describe. Pure: cannot reach a store, a file or the network.
//!
//! ```text
//! InputRow ─▶ check ─▶ judge ─▶ scrub ─▶ deduplicate ─▶ split ─▶ describe ─▶ DatasetBuild
//! ```
//! Every row that is left out is counted under a reason; none disappears silently.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod build;
mod canonical;
mod card;
mod config;
mod deduplicate;
mod describe;
mod judge;
mod message;
mod pick;
mod read_rows;
mod row;
mod scrub_rows;
mod split_rows;
mod write_rows;

#[cfg(test)]
mod tests;

pub use build::{BuildError, DatasetBuild, build};
pub use canonical::{canonical_json, row_hash};
pub use config::{BuildConfig, SplitConfig};
pub use describe::{LabelCount, SplitSizes, Spread, Statistics};
pub use message::{check_messages, message_text};
pub use pick::pick;
pub use read_rows::{BrokenRow, ReadLimits, ReadOutcome, read_rows};
pub use row::{DatasetRow, Dropped, InputRow, Provenance, ProvenanceKind, Split};
pub use write_rows::{ReadVersionError, read_version, write_rows};

pub use pelton_pii::{Counts as ScrubCounts, Kind as ScrubKind};
