//! Some rows of a split, the same ones for the same seed.

use crate::row::{DatasetRow, Split};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// At most `n` rows of `split`, drawn by `seed`; all in file order when `n` is nothing or not less
/// than there are. With the same seed, a smaller draw is part of a larger one.
#[must_use]
pub fn pick(rows: &[DatasetRow], split: Split, n: Option<usize>, seed: u64) -> Vec<&DatasetRow> {
    let mut picked: Vec<&DatasetRow> = rows.iter().filter(|row| row.split == split).collect();
    if let Some(n) = n.filter(|&n| n < picked.len()) {
        picked.sort_by_cached_key(|row| (xxh3_64_with_seed(row.hash.as_bytes(), seed), row.index));
        picked.truncate(n);
    }
    picked
}
