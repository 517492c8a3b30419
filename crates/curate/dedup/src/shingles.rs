//! A text as the set of its word shingles.

use crate::exact::normalize;
use xxhash_rust::xxh3::xxh3_64;

/// Words per shingle.
const WORDS: usize = 3;

/// The hashes of a text's runs of three words, sorted and each once. A text of fewer words is one
/// shingle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles(Vec<u64>);

impl Shingles {
    /// The shingles of `text`, normalized, split at whatever is neither letter nor digit.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let normal = normalize(text);
        let words: Vec<&str> =
            normal.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let hash = |run: &[&str]| xxh3_64(run.join(" ").as_bytes());
        let mut hashes: Vec<u64> = if words.len() <= WORDS {
            vec![hash(&words)]
        } else {
            words.windows(WORDS).map(hash).collect()
        };
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The hashes, sorted.
    #[must_use]
    pub fn hashes(&self) -> &[u64] {
        &self.0
    }
}

/// Size of the intersection over size of the union.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "numbers of shingles stay far below 2^53")]
pub fn jaccard(a: &Shingles, b: &Shingles) -> f64 {
    let (mut left, mut right) = (a.0.iter().peekable(), b.0.iter().peekable());
    let (mut both, mut any) = (0_usize, 0_usize);
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(x), Some(y)) if x == y => {
                both += 1;
                left.next();
                right.next();
            }
            (Some(x), Some(y)) if x < y => drop(left.next()),
            (Some(_), None) => drop(left.next()),
            (_, Some(_)) => drop(right.next()),
        }
        any += 1;
    }
    if any == 0 { 1.0 } else { both as f64 / any as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_counted_over_sets() {
        let of = Shingles::of;
        // a b c · b c d  against  a b c · b c e: one of three.
        assert_eq!(jaccard(&of("a b c d"), &of("a b c e")), 1.0 / 3.0);
        assert_eq!(jaccard(&of("A, b. c!"), &of("a b c")), 1.0);
        assert_eq!(jaccard(&of("one"), &of("two")), 0.0);
        assert_eq!(jaccard(&of(""), &of("?!")), 1.0);
        assert_eq!(of("a b c a b c a b c").hashes().len(), 3);
    }
}
