//! How many bands of how many rows a threshold asks for.

/// A signature cut into bands: two texts become a candidate pair when one band agrees entirely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    /// Number of bands.
    pub bands: usize,
    /// Hashes per band.
    pub rows: usize,
}

/// Candidates are verified, so that only misses cost anything: a pair at the threshold may be
/// missed this often.
const MISSED_AT_THRESHOLD: f64 = 0.01;

impl Bands {
    /// The most selective cut of a signature of at most 256 hashes that proposes a pair at
    /// `threshold` with probability of at least 99 %.
    ///
    /// P(candidate) = 1 − (1 − s^rows)^bands for similarity s (Leskovec, Rajaraman and Ullman,
    /// "Mining of Massive Datasets", 3.4).
    #[must_use]
    pub fn for_threshold(threshold: f64) -> Self {
        (1..=32)
            .rev()
            .map(|rows| Self { bands: 256 / rows, rows })
            .find(|cut| 1.0 - cut.probability(threshold) <= MISSED_AT_THRESHOLD)
            .unwrap_or(Self { bands: 256, rows: 1 })
    }

    /// Probability that a pair of this similarity becomes a candidate.
    #[must_use]
    pub fn probability(self, similarity: f64) -> f64 {
        let power = |base: f64, n: usize| base.powi(i32::try_from(n).unwrap_or(i32::MAX));
        1.0 - power(1.0 - power(similarity, self.rows), self.bands)
    }

    /// Hashes in the whole signature.
    #[must_use]
    pub const fn signature_length(self) -> usize {
        self.bands * self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_threshold() {
        for threshold in [0.5, 0.7, 0.8, 0.9, 0.95] {
            let cut = Bands::for_threshold(threshold);
            assert!(cut.probability(threshold) >= 0.99, "{threshold}: {cut:?}");
            assert!(cut.probability(threshold / 3.0) < 0.5, "{threshold}: {cut:?}");
            assert!(cut.signature_length() <= 256);
        }
        assert!(Bands::for_threshold(0.9).rows > Bands::for_threshold(0.6).rows);
        // The S-curve that NeMo Curator's 20 bands of 13 rows have at 0.8.
        assert!((Bands { bands: 20, rows: 13 }.probability(0.8) - 0.677).abs() < 5e-4);
    }
}
