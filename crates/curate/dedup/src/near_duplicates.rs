//! Clusters of texts that say nearly the same.

use crate::bands::Bands;
use crate::shingles::{Shingles, jaccard};
use crate::signature::signature;
use crate::union_find::UnionFind;
use rayon::prelude::*;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// For every text, the first text of its cluster.
///
/// Two texts are in one cluster when a chain of pairs at least as similar as the threshold links
/// them. The same texts in the same order give the same clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters(Vec<usize>);

impl Clusters {
    /// Clusters `texts` at a Jaccard similarity of `threshold` (in (0, 1]) over word shingles.
    #[must_use]
    pub fn find(texts: &[impl AsRef<str> + Sync], threshold: f64) -> Self {
        let cut = Bands::for_threshold(threshold);
        let shingles: Vec<Shingles> =
            texts.par_iter().map(|text| Shingles::of(text.as_ref())).collect();
        let signatures: Vec<Vec<u64>> = shingles
            .par_iter()
            .map(|set| band_keys(&signature(set, cut.signature_length()), cut.rows))
            .collect();
        let mut sets = UnionFind::new(texts.len());
        for band in 0..cut.bands {
            let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
            for (text, keys) in signatures.iter().enumerate() {
                let Some(&key) = keys.get(band) else { continue };
                let heads = buckets.entry(key).or_default();
                // One comparison per distinct text of the bucket: a bucket of n copies costs n.
                if !joins_one(&mut sets, &shingles, heads, text, threshold) {
                    heads.push(text);
                }
            }
        }
        Self((0..texts.len()).map(|text| sets.first(text)).collect())
    }

    /// The first text of `text`'s cluster; itself when it stands alone or comes first.
    #[must_use]
    pub fn first_of(&self, text: usize) -> usize {
        self.0.get(text).copied().unwrap_or(text)
    }

    /// Whether an earlier text of the same cluster exists.
    #[must_use]
    pub fn is_repeat(&self, text: usize) -> bool {
        self.first_of(text) != text
    }
}

/// Joins `text` to those heads of the bucket that it truly resembles; whether it equals one, so
/// that it need not stand for the bucket itself.
fn joins_one(
    sets: &mut UnionFind,
    shingles: &[Shingles],
    heads: &[usize],
    text: usize,
    threshold: f64,
) -> bool {
    let Some(mine) = shingles.get(text) else { return true };
    let mut equals_a_head = false;
    for &head in heads {
        let Some(other) = shingles.get(head) else { continue };
        if mine == other {
            equals_a_head = true;
            sets.join(head, text);
        } else if sets.first(head) != sets.first(text) && jaccard(other, mine) >= threshold {
            sets.join(head, text);
        }
    }
    equals_a_head
}

/// One key per band.
fn band_keys(signature: &[u64], rows: usize) -> Vec<u64> {
    signature
        .chunks_exact(rows)
        .map(|band| {
            let bytes: Vec<u8> = band.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            xxh3_64(&bytes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(topic: usize, changed: usize) -> String {
        (0..40)
            .map(|word| {
                if word < changed { format!("x{topic}{word}") } else { format!("t{topic}w{word}") }
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn finds_copies_and_near_copies_but_not_relatives() {
        let texts = [
            sentence(1, 0),
            sentence(2, 0),
            sentence(1, 1), // one word of forty changed: similarity .95
            sentence(1, 0).to_uppercase(),
            sentence(2, 15), // similarity .45
            "short".to_owned(),
            " Short!".to_owned(),
        ];
        let clusters = Clusters::find(&texts, 0.9);
        let firsts: Vec<usize> = (0..texts.len()).map(|i| clusters.first_of(i)).collect();
        assert_eq!(firsts, [0, 1, 0, 0, 4, 5, 5]);
        assert!(clusters.is_repeat(2) && !clusters.is_repeat(4));
    }

    #[test]
    fn clusters_are_transitive() {
        // Neighbors share more than 80 %, the ends share far less.
        let window =
            |from: usize| (from..from + 60).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
        let texts: Vec<String> = (0..8).map(|i| window(i * 4)).collect();
        let clusters = Clusters::find(&texts, 0.8);
        assert!((0..8).all(|i| clusters.first_of(i) == 0));
        assert!(jaccard(&Shingles::of(&texts[0]), &Shingles::of(&texts[7])) < 0.5);
    }

    /// Against all pairs compared: every pair at the threshold or above shares a cluster.
    #[test]
    fn agrees_with_comparing_all_pairs() {
        let texts: Vec<String> =
            (0..120).map(|i| sentence(i / 6, [0, 1, 2, 8, 20, 40][i % 6])).collect();
        let sets: Vec<Shingles> = texts.iter().map(|text| Shingles::of(text)).collect();
        let clusters = Clusters::find(&texts, 0.7);
        let mut truth = UnionFind::new(texts.len());
        for a in 0..texts.len() {
            for b in 0..a {
                if jaccard(&sets[a], &sets[b]) >= 0.7 {
                    truth.join(a, b);
                }
            }
        }
        for i in 0..texts.len() {
            assert_eq!(clusters.first_of(i), truth.first(i), "{i}");
        }
    }

    #[test]
    fn nothing_has_no_clusters() {
        let none: [&str; 0] = [];
        assert_eq!(Clusters::find(&none, 0.9).first_of(3), 3);
    }
}
