//! A value with its interval, and the interval for one proportion.

use crate::normal::normal_quantile;
use serde::{Deserialize, Serialize};

/// An estimate and the bounds of its interval, in the estimate's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// Wilson's score interval for `successes` out of `n` at `confidence` (0.95 for 95 %).
///
/// Wilson (1927), "Probable inference, the law of succession, and statistical inference". Of
/// nothing it says all: value 0 within [0, 1].
#[must_use]
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Interval {
    if n == 0 {
        return Interval { value: 0.0, low: 0.0, high: 1.0 };
    }
    let (hits, trials) = (count(successes.min(n)), count(n));
    let z = normal_quantile(0.5 + confidence / 2.0);
    let share = hits / trials;
    let spread = z * z / trials;
    let center = (share + spread / 2.0) / (1.0 + spread);
    let half =
        z / (1.0 + spread) * (share * (1.0 - share) / trials + spread / (4.0 * trials)).sqrt();
    Interval {
        value: share,
        low: if successes == 0 { 0.0 } else { (center - half).max(0.0) },
        high: if successes >= n { 1.0 } else { (center + half).min(1.0) },
    }
}

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts of samples stay far below 2^53")]
pub(crate) const fn count(n: u64) -> f64 {
    n as f64
}

/// A length as a real number.
pub(crate) const fn length(n: usize) -> f64 {
    count(n as u64)
}

#[cfg(test)]
pub(crate) fn close(have: f64, want: f64, tolerance: f64) {
    assert!((have - want).abs() <= tolerance, "{have} is not {want} within {tolerance}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels 0.14 `proportion_confint(k, n, method="wilson")`.
    #[test]
    fn agrees_with_statsmodels() {
        for (k, n, low, high) in WILSON {
            let interval = wilson(k, n, 0.95);
            close(interval.low, low, 1e-12);
            close(interval.high, high, 1e-12);
        }
        let narrow = wilson(370, 500, 0.99);
        assert!(narrow.low < wilson(370, 500, 0.95).low);
    }

    const WILSON: [(u64, u64, f64, f64); 4] = [
        (370, 500, 0.6998260397638378, 0.7765142768146172),
        (0, 50, 0.0, 0.07134759913335874),
        (50, 50, 0.9286524008666412, 1.0),
        (1, 7, 0.02567962434474355, 0.5131278292743189),
    ];

    #[test]
    fn of_nothing_it_says_all() {
        assert_eq!(wilson(0, 0, 0.95), Interval { value: 0.0, low: 0.0, high: 1.0 });
    }
}
