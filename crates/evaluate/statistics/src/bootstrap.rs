//! The paired bootstrap: an interval for how much better the candidate is, item by item.

use crate::interval::{Interval, length};
use crate::normal::{normal_cdf, normal_quantile};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Why there is no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootstrapError {
    /// No items.
    Empty,
    /// The two have different numbers of items, so they are not paired.
    Unpaired {
        /// Items of the baseline.
        baseline: usize,
        /// Items of the candidate.
        candidate: usize,
    },
}

impl std::fmt::Display for BootstrapError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => out.write_str("there are no items to compare"),
            Self::Unpaired { baseline, candidate } => {
                write!(out, "{baseline} items cannot be paired with {candidate}")
            }
        }
    }
}

impl std::error::Error for BootstrapError {}

/// Mean of `candidate` minus `baseline` over paired items, with a bias-corrected and accelerated
/// (BCa) interval at `confidence` from `resamples` draws of items.
///
/// # Errors
/// When there are no items, or not equally many of both.
pub fn paired_bootstrap(
    baseline: &[f64],
    candidate: &[f64],
    confidence: f64,
    resamples: usize,
    seed: u64,
) -> Result<Interval, BootstrapError> {
    if baseline.len() != candidate.len() {
        return Err(BootstrapError::Unpaired {
            baseline: baseline.len(),
            candidate: candidate.len(),
        });
    }
    let differences: Vec<f64> = candidate.iter().zip(baseline).map(|(c, b)| c - b).collect();
    bca_of_mean(&differences, confidence, resamples, seed).ok_or(BootstrapError::Empty)
}

/// [`paired_bootstrap`] for right-or-wrong items, 10,000 draws, 95 %.
///
/// # Errors
/// As [`paired_bootstrap`].
pub fn paired_difference(
    baseline: &[bool],
    candidate: &[bool],
    seed: u64,
) -> Result<Interval, BootstrapError> {
    let score = |items: &[bool]| items.iter().map(|&right| f64::from(right)).collect::<Vec<_>>();
    paired_bootstrap(&score(baseline), &score(candidate), 0.95, 10_000, seed)
}

/// Efron (1987), "Better bootstrap confidence intervals"; the jackknife of a mean in closed form.
fn bca_of_mean(values: &[f64], confidence: f64, resamples: usize, seed: u64) -> Option<Interval> {
    if values.is_empty() || resamples == 0 {
        return None;
    }
    let n = length(values.len());
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if squares <= f64::EPSILON * n {
        return Some(Interval { value: mean, low: mean, high: mean });
    }
    let means = resampled_means(values, resamples, seed);
    let (mut below, mut tied) = (0, 0);
    for &resampled in &means {
        if (resampled - mean).abs() <= 1e-12 {
            tied += 1;
        } else if resampled < mean {
            below += 1;
        }
    }
    let bias = normal_quantile((length(below) + length(tied) / 2.0) / length(means.len()));
    let cubes: f64 = values.iter().map(|value| (value - mean).powi(3)).sum();
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    let bound = |p: f64| {
        let z = bias + normal_quantile(p);
        let adjusted = normal_cdf(bias + z / (1.0 - acceleration * z));
        percentile(&means, adjusted)
    };
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval { value: mean, low: bound(tail), high: bound(1.0 - tail) })
}

/// Means of `resamples` draws with replacement, sorted.
fn resampled_means(values: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let sum: f64 = (0..values.len())
                .filter_map(|_| values.get(draw.random_range(0..values.len())))
                .sum();
            sum / length(values.len())
        })
        .collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The value below which the share `p` of the sorted values lies, linear between neighbors.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the position lies within the slice"
)]
pub(crate) fn percentile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = (p.clamp(0.0, 1.0) * length(last)).min(length(last));
    let low = at.floor() as usize;
    let below = sorted.get(low).copied().unwrap_or(f64::NAN);
    let above = sorted.get(low + 1).copied().unwrap_or(below);
    below + (above - below) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    /// scipy.stats.bootstrap(method="BCa", n_resamples=200_000): 30 skewed differences. The draws
    /// differ, so the bounds agree up to the resampling error.
    #[test]
    fn agrees_with_scipy_on_skewed_values() {
        let baseline: Vec<f64> = vec![0.0; 30];
        let candidate: Vec<f64> = (0..30).map(|i| f64::from(i * i % 17) / 10.0).collect();
        let interval = paired_bootstrap(&baseline, &candidate, 0.95, 40_000, 1).unwrap();
        close(interval.value, BCA_SKEWED.0, 1e-12);
        close(interval.low, BCA_SKEWED.1, 0.01);
        close(interval.high, BCA_SKEWED.2, 0.01);
    }

    /// scipy again: 500 items, 100 only the candidate gets right, 40 only the baseline.
    #[test]
    fn agrees_with_scipy_on_right_and_wrong() {
        let baseline: Vec<bool> = (0..500).map(|i| !(40..140).contains(&i)).collect();
        let candidate: Vec<bool> = (0..500).map(|i| i >= 40).collect();
        let interval = paired_difference(&baseline, &candidate, 1).unwrap();
        close(interval.value, 0.12, 1e-12);
        close(interval.low, BCA_BINARY.1, 0.004);
        close(interval.high, BCA_BINARY.2, 0.004);
    }

    const BCA_SKEWED: (f64, f64, f64) = (0.8066666666666668, 0.6066666666666667, 1.01);
    const BCA_BINARY: (f64, f64, f64) = (0.12, 0.076, 0.166);

    #[test]
    fn same_seed_same_interval() {
        let (b, c): (Vec<bool>, Vec<bool>) = (0..90).map(|i| (i % 3 == 0, i % 2 == 0)).unzip();
        assert_eq!(paired_difference(&b, &c, 4), paired_difference(&b, &c, 4));
        let drawn = |seed| resampled_means(&[0.0, 1.0, 5.0], 50, seed);
        assert_eq!(drawn(4), drawn(4));
        assert_ne!(drawn(4), drawn(5));
    }

    /// The interval holds the true difference about as often as it says.
    #[test]
    fn covers_at_its_nominal_rate() {
        let mut draw = ChaCha8Rng::seed_from_u64(9);
        let covered = (0..400)
            .filter(|&trial| {
                let baseline: Vec<bool> = (0..120).map(|_| draw.random_bool(0.6)).collect();
                let candidate: Vec<bool> = (0..120).map(|_| draw.random_bool(0.7)).collect();
                let score =
                    |items: &[bool]| items.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                let interval =
                    paired_bootstrap(&score(&baseline), &score(&candidate), 0.95, 500, trial)
                        .unwrap();
                interval.low <= 0.1 && 0.1 <= interval.high
            })
            .count();
        assert!((364..=396).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn refuses_what_is_not_paired() {
        assert_eq!(
            paired_difference(&[true], &[], 1),
            Err(BootstrapError::Unpaired { baseline: 1, candidate: 0 })
        );
        assert_eq!(paired_difference(&[], &[], 1), Err(BootstrapError::Empty));
        let same = paired_difference(&[true, false], &[true, false], 1).unwrap();
        assert_eq!((same.low, same.high), (0.0, 0.0));
    }
}
