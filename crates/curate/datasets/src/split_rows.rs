//! Assigns rows to splits so that near duplicates stay together.
//!
//! A group of near duplicates goes where the hash of its first row's content says, so that a row
//! stays in its split when more rows are added. Stratification only repairs: a label that has at
//! least one group per split but misses one gets the group that lies nearest to it.

use crate::build::Candidate;
use crate::canonical::row_hash;
use crate::config::SplitConfig;
use crate::row::Split;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The split of every row; `rows` come with their group numbers.
pub(crate) fn assign(rows: &[(usize, Candidate)], config: &SplitConfig) -> Vec<Split> {
    let mut places: HashMap<usize, f64> = HashMap::new();
    let mut labels: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (group, row) in rows {
        places.entry(*group).or_insert_with(|| {
            labels.entry(row.label.as_deref().unwrap_or_default()).or_default().push(*group);
            place(&row_hash(&row.messages, &row.answer), config.seed)
        });
    }
    let mut splits: HashMap<usize, Split> =
        places.iter().map(|(group, place)| (*group, split_at(*place, config))).collect();
    if config.stratify {
        for groups in labels.values() {
            repair(groups, &places, &mut splits, config);
        }
    }
    rows.iter().map(|(group, _)| splits.get(group).copied().unwrap_or(Split::Train)).collect()
}

/// A number in [0, 1) that depends on the content and the seed alone.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn place(hash: &str, seed: u64) -> f64 {
    (xxh3_64_with_seed(hash.as_bytes(), seed) >> 11) as f64 / (1_u64 << 53) as f64
}

fn split_at(place: f64, config: &SplitConfig) -> Split {
    if place < config.train {
        Split::Train
    } else if place < config.train + config.validation {
        Split::Validation
    } else {
        Split::Test
    }
}

/// The range of places that a split takes.
fn range_of(split: Split, config: &SplitConfig) -> (f64, f64) {
    match split {
        Split::Train => (0.0, config.train),
        Split::Validation => (config.train, config.train + config.validation),
        Split::Test => (config.train + config.validation, 1.0),
    }
}

fn repair(
    groups: &[usize],
    places: &HashMap<usize, f64>,
    splits: &mut HashMap<usize, Split>,
    config: &SplitConfig,
) {
    let wanted: Vec<Split> = Split::ALL
        .into_iter()
        .filter(|split| {
            let (low, high) = range_of(*split, config);
            high - low > 1e-9
        })
        .collect();
    if groups.len() < wanted.len() {
        return;
    }
    for &missing in &wanted {
        let size = |split: Split, splits: &HashMap<usize, Split>| {
            groups.iter().filter(|group| splits.get(group) == Some(&split)).count()
        };
        if size(missing, splits) > 0 {
            continue;
        }
        let (low, high) = range_of(missing, config);
        let middle = f64::midpoint(low, high);
        let distance = |group: &usize| (places.get(group).unwrap_or(&0.0) - middle).abs();
        let nearest = groups
            .iter()
            .filter(|group| splits.get(group).is_some_and(|split| size(*split, splits) > 1))
            .min_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)))
            .copied();
        if let Some(group) = nearest {
            splits.insert(group, missing);
        }
    }
}
