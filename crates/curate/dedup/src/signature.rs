//! MinHash: per hash function the least hash of a set; two sets agree in a place with a
//! probability equal to their Jaccard similarity.

use crate::shingles::Shingles;

/// The least value of each of `length` hash functions over the set.
///
/// Function i sends h to the high half of a·h + b for an odd a, both 128 bits wide and drawn from a
/// fixed sequence, so that signatures agree between runs and machines.
pub(crate) fn signature(shingles: &Shingles, length: usize) -> Vec<u64> {
    let mut least = vec![u64::MAX; length];
    let functions: Vec<(u128, u128)> = (0..length as u64).map(function).collect();
    for &hash in shingles.hashes() {
        for (slot, &(a, b)) in least.iter_mut().zip(&functions) {
            let mixed = (a.wrapping_mul(u128::from(hash)).wrapping_add(b) >> 64) as u64;
            *slot = (*slot).min(mixed);
        }
    }
    least
}

fn function(index: u64) -> (u128, u128) {
    let word = |n: u64| u128::from(split_mix(index * 4 + n));
    ((word(0) << 64) | word(1) | 1, (word(2) << 64) | word(3))
}

/// The `n`th value of SplitMix64 (Steele, Lea and Flood 2014).
const fn split_mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shingles::jaccard;

    /// The share of agreeing places estimates the similarity: within 4 standard errors.
    #[test]
    fn agreement_estimates_jaccard() {
        let words =
            |from: usize| (from..from + 200).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
        for shift in [5, 40, 120] {
            let (a, b) = (Shingles::of(&words(0)), Shingles::of(&words(shift)));
            let (sa, sb) = (signature(&a, 2_000), signature(&b, 2_000));
            let equal = sa.iter().zip(&sb).filter(|(x, y)| x == y).count() as f64 / 2_000.0;
            let truth = jaccard(&a, &b);
            let error = (truth * (1.0 - truth) / 2_000.0).sqrt();
            assert!((equal - truth).abs() < 4.0 * error, "{shift}: {equal} for {truth}");
        }
    }

    #[test]
    fn signatures_do_not_change_between_versions() {
        let least = signature(&Shingles::of("the quick brown fox jumps"), 2);
        assert_eq!(least, SIGNATURE);
    }

    const SIGNATURE: [u64; 2] = [5_454_304_140_092_060_718, 569_328_535_912_837_960];
}
