//! Is the candidate no worse than the baseline by more than a margin, on paired items?

use crate::interval::{Interval, count};
use crate::normal::{normal_quantile, upper_tail};
use serde::{Deserialize, Serialize};

/// Outcome of a non-inferiority test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NonInferiority {
    /// Candidate's share right minus the baseline's, with the two-sided 1 − 2·alpha score interval:
    /// its lower bound lies above −margin exactly when the test passes.
    pub difference: Interval,
    /// The margin tested.
    pub margin: f64,
    /// One-sided p-value of "worse by at least the margin".
    pub p_value: f64,
    /// Whether that hypothesis is rejected at alpha.
    pub passed: bool,
}

/// Tests the hypothesis that the candidate's share right is at least `margin` below the baseline's,
/// from `n` paired items of which `only_baseline` and `only_candidate` were right for one alone.
///
/// Tango (1998), "Equivalence test and confidence interval for the difference in proportions for
/// the paired-sample design": a score test, so that it stays honest when the two rarely disagree.
#[must_use]
pub fn non_inferiority(
    only_baseline: u64,
    only_candidate: u64,
    n: u64,
    margin: f64,
    alpha: f64,
) -> NonInferiority {
    let difference =
        paired_difference_score_interval(only_baseline, only_candidate, n, 1.0 - 2.0 * alpha);
    let p_value = if n == 0 {
        1.0
    } else {
        upper_tail(score(count(only_baseline), count(only_candidate), count(n), -margin))
    };
    NonInferiority { difference, margin, p_value, passed: p_value < alpha }
}

/// Tango's score interval for the candidate's share right minus the baseline's.
#[must_use]
pub fn paired_difference_score_interval(
    only_baseline: u64,
    only_candidate: u64,
    n: u64,
    confidence: f64,
) -> Interval {
    if n == 0 {
        return Interval { value: 0.0, low: -1.0, high: 1.0 };
    }
    let (b, c, n) = (count(only_baseline), count(only_candidate), count(n));
    let value = (c - b) / n;
    let z = normal_quantile(0.5 + confidence / 2.0);
    Interval {
        value,
        low: bisect(-1.0, value, |delta| score(b, c, n, delta) > z),
        high: bisect(value, 1.0, |delta| score(b, c, n, delta) > -z),
    }
}

/// The score statistic of "the difference is `delta`"; it falls as `delta` rises.
fn score(b: f64, c: f64, n: f64, delta: f64) -> f64 {
    let linear = -c - b + (2.0 * n - c + b) * delta;
    let constant = -b * delta * (1.0 - delta);
    // The constrained estimate of the probability that only the baseline is right.
    let only_baseline =
        ((linear * linear - 8.0 * n * constant).max(0.0).sqrt() - linear) / (4.0 * n);
    let variance = n * (2.0 * only_baseline + delta * (1.0 - delta));
    let excess = c - b - n * delta;
    if variance > 1e-12 {
        excess / variance.sqrt()
    } else if excess.abs() < 1e-12 {
        0.0
    } else {
        excess.signum() * f64::INFINITY
    }
}

/// Where `is_left` turns from true to false between `low` and `high`.
fn bisect(mut low: f64, mut high: f64, is_left: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if is_left(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    /// The score statistic with the constrained likelihood maximized numerically by scipy.
    #[test]
    fn agrees_with_a_numerical_maximum() {
        for (b, c, n, margin, z) in SCORES {
            close(score(count(b), count(c), count(n), -margin), z, 1e-6);
        }
    }

    const SCORES: [(u64, u64, u64, f64, f64); 5] = [
        (10, 4, 400, 0.03, 1.4319363668752754),
        (12, 15, 400, 0.03, 2.658369078448783),
        (0, 0, 400, 0.03, 3.517262192589776),
        (30, 10, 500, 0.05, 0.7761111220732942),
        (3, 0, 60, 0.1, 1.2909944243548643),
    ];

    #[test]
    fn interval_and_test_agree() {
        for (b, c, n) in [(10, 4, 400), (12, 15, 400), (0, 0, 400), (30, 10, 500), (0, 3, 20)] {
            let test = non_inferiority(b, c, n, 0.03, 0.05);
            assert_eq!(test.passed, test.difference.low > -0.03, "{b} {c} {n} {test:?}");
        }
    }

    #[test]
    fn a_drop_as_large_as_the_margin_never_passes() {
        assert!(!non_inferiority(12, 0, 400, 0.03, 0.05).passed);
        assert!(!non_inferiority(0, 0, 0, 0.03, 0.05).passed);
        assert!(non_inferiority(0, 0, 400, 0.03, 0.05).passed);
    }
}
