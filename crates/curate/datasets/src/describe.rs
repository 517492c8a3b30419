//! What a version holds, in numbers.

use crate::message::whole_input;
use crate::row::{DatasetRow, Split};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Labels listed at most.
const LABELS_SHOWN: usize = 100;

/// Rows per split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SplitSizes {
    /// Rows learned from.
    pub train: u64,
    /// Rows looked at while training.
    pub validation: u64,
    /// Rows reported on.
    pub test: u64,
}

/// The spread of a length, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Least.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 95th percentile, nearest rank.
    pub p95: u64,
    /// Most.
    pub max: u64,
}

/// Rows of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// Its rows.
    pub count: u64,
}

/// A version in numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Length of the messages.
    pub input_chars: Spread,
    /// Length of the wanted answers.
    pub answer_chars: Spread,
    /// The most frequent labels, at most 100.
    pub labels: Vec<LabelCount>,
    /// Groups of near duplicates that a given split tears apart; 0 where Pelton splits.
    pub groups_across_splits: u64,
}

pub(crate) fn sizes(rows: &[DatasetRow]) -> SplitSizes {
    let mut sizes = SplitSizes::default();
    for row in rows {
        match row.split {
            Split::Train => sizes.train += 1,
            Split::Validation => sizes.validation += 1,
            Split::Test => sizes.test += 1,
        }
    }
    sizes
}

/// Describes `rows`, whose groups of near duplicates are `groups`.
pub(crate) fn describe(rows: &[DatasetRow], groups: &[usize]) -> Statistics {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for label in rows.iter().filter_map(|row| row.label.as_deref()) {
        *counts.entry(label).or_default() += 1;
    }
    let mut labels: Vec<LabelCount> = counts
        .into_iter()
        .map(|(label, count)| LabelCount { label: label.into(), count })
        .collect();
    labels.sort_by_key(|label| std::cmp::Reverse(label.count));
    labels.truncate(LABELS_SHOWN);
    let mut splits: HashMap<usize, HashSet<Split>> = HashMap::new();
    for (row, group) in rows.iter().zip(groups) {
        splits.entry(*group).or_default().insert(row.split);
    }
    Statistics {
        input_chars: spread(rows.iter().map(|row| whole_input(&row.messages).chars().count())),
        answer_chars: spread(rows.iter().map(|row| row.answer.chars().count())),
        labels,
        groups_across_splits: splits.values().filter(|splits| splits.len() > 1).count() as u64,
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths stay far below 2^53")]
fn spread(lengths: impl Iterator<Item = usize>) -> Spread {
    let mut lengths: Vec<u64> = lengths.map(|length| length as u64).collect();
    lengths.sort_unstable();
    let n = lengths.len();
    let rank = |percent: usize| {
        lengths.get((n * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
    };
    Spread {
        min: rank(0),
        mean: lengths.iter().sum::<u64>() as f64 / n.max(1) as f64,
        p50: rank(50),
        p95: rank(95),
        max: rank(100),
    }
}
