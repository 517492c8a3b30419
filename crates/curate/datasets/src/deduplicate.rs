//! Drops repeats and groups what must not be torn apart by a split.

use crate::build::Candidate;
use crate::message::{own_input, whole_input};
use crate::row::Dropped;
use pelton_dedup::{Clusters, Shingles, exact_key, jaccard, normalize};
use std::collections::HashMap;

/// Similarity from which rows share a split, where near duplicates are not dropped anyway.
const SAME_SPLIT_SIMILARITY: f64 = 0.9;

/// Of rows with the same input, keeps the best judged, of those the one of the latest split (test
/// before validation before train), of those the first. Order is kept.
pub(crate) fn drop_exact(rows: Vec<Candidate>, dropped: &mut Dropped) -> Vec<Candidate> {
    let mut best: HashMap<u128, usize> = HashMap::new();
    let keys: Vec<u128> = rows.iter().map(|row| exact_key(&whole_input(&row.messages))).collect();
    let rank =
        |at: usize| rows.get(at).map(|row| (row.judgment, std::cmp::Reverse(row.given_split), at));
    for (at, key) in keys.iter().enumerate() {
        best.entry(*key)
            .and_modify(|kept| {
                if rank(at) < rank(*kept) {
                    *kept = at;
                }
            })
            .or_insert(at);
    }
    let kept: Vec<bool> =
        keys.iter().enumerate().map(|(at, key)| best.get(key) == Some(&at)).collect();
    let before = rows.len();
    let rows: Vec<Candidate> =
        rows.into_iter().zip(kept).filter_map(|(row, kept)| kept.then_some(row)).collect();
    dropped.exact_duplicate += (before - rows.len()) as u64;
    rows
}

/// Rows with, for each, a number that near duplicates share. With a threshold, of near duplicates
/// whose answers are near duplicates too only the first is kept: the same question about a slightly
/// different input, with another answer, is what a model most needs to see.
pub(crate) fn drop_near(
    rows: Vec<Candidate>,
    threshold: Option<f64>,
    dropped: &mut Dropped,
) -> Vec<(usize, Candidate)> {
    let inputs: Vec<String> = rows.iter().map(|row| own_input(&row.messages)).collect();
    let clusters = Clusters::find(&inputs, threshold.unwrap_or(SAME_SPLIT_SIMILARITY));
    let mut answers: HashMap<usize, Vec<(String, Shingles)>> = HashMap::new();
    let mut kept = Vec::with_capacity(rows.len());
    for (at, row) in rows.into_iter().enumerate() {
        let cluster = clusters.first_of(at);
        if let Some(threshold) = threshold {
            let normal = normalize(&row.answer);
            let shingles = Shingles::of(&normal);
            let earlier = answers.entry(cluster).or_default();
            let repeats = earlier.iter().any(|(text, set)| {
                *text == normal || (threshold < 1.0 && jaccard(set, &shingles) >= threshold)
            });
            if repeats {
                dropped.near_duplicate += 1;
                continue;
            }
            earlier.push((normal, shingles));
        }
        kept.push((cluster, row));
    }
    kept
}
