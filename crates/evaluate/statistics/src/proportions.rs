//! Two independent proportions: are they equal, and how far apart?

use crate::gamma::ln_choose;
use crate::interval::{Interval, count, wilson};
use crate::normal::upper_tail;
use serde::{Deserialize, Serialize};

/// `hits` out of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    /// How many had the property.
    pub hits: u64,
    /// How many there were.
    pub n: u64,
}

impl Proportion {
    /// The share, 0 of nothing.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.n == 0 { 0.0 } else { count(self.hits) / count(self.n) }
    }
}

/// The two-sided p-value of the pooled z-test for `a` = `b`. Use [`fisher_exact`] for small counts.
#[must_use]
pub fn two_proportions(a: Proportion, b: Proportion) -> f64 {
    if a.n == 0 || b.n == 0 {
        return 1.0;
    }
    let pooled = count(a.hits + b.hits) / count(a.n + b.n);
    let variance = pooled * (1.0 - pooled) * (1.0 / count(a.n) + 1.0 / count(b.n));
    if variance == 0.0 {
        return 1.0;
    }
    2.0 * upper_tail(((a.share() - b.share()) / variance.sqrt()).abs())
}

/// The two-sided p-value of Fisher's exact test for `a` = `b`: the probability, margins given, of a
/// table no more likely than the one seen.
#[must_use]
pub fn fisher_exact(a: Proportion, b: Proportion) -> f64 {
    let hits = a.hits + b.hits;
    let table = |in_a: u64| ln_choose(a.n, in_a) + ln_choose(b.n, hits - in_a);
    let all = ln_choose(a.n + b.n, hits);
    let seen = table(a.hits);
    let least = hits.saturating_sub(b.n);
    (least..=hits.min(a.n))
        .map(table)
        .filter(|&ln_weight| ln_weight <= seen + 1e-7)
        .map(|ln_weight| (ln_weight - all).exp())
        .sum::<f64>()
        .min(1.0)
}

/// `candidate` minus `baseline` with Newcombe's hybrid score interval (1998, method 10).
#[must_use]
pub fn difference_interval(
    baseline: Proportion,
    candidate: Proportion,
    confidence: f64,
) -> Interval {
    let c = wilson(candidate.hits, candidate.n, confidence);
    let b = wilson(baseline.hits, baseline.n, confidence);
    let value = c.value - b.value;
    Interval {
        value,
        low: value - (c.value - c.low).hypot(b.high - b.value),
        high: value + (c.high - c.value).hypot(b.value - b.low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    const fn of(hits: u64, n: u64) -> Proportion {
        Proportion { hits, n }
    }

    /// statsmodels 0.14 `proportions_ztest` and `confint_proportions_2indep(method="newcomb")`,
    /// scipy `fisher_exact`.
    #[test]
    fn agrees_with_statsmodels_and_scipy() {
        for ((k1, n1), (k2, n2), z_test, fisher, low, high) in PAIRS {
            close(two_proportions(of(k1, n1), of(k2, n2)) / z_test, 1.0, 1e-10);
            close(fisher_exact(of(k1, n1), of(k2, n2)) / fisher, 1.0, 1e-9);
            let apart = difference_interval(of(k2, n2), of(k1, n1), 0.95);
            close(apart.low, low, 1e-10);
            close(apart.high, high, 1e-10);
        }
    }

    type Row = ((u64, u64), (u64, u64), f64, f64, f64, f64);
    const PAIRS: [Row; 3] = [
        (
            (370, 500),
            (415, 500),
            0.0005325131672846502,
            0.0006846747265271386,
            -0.14036734295864817,
            -0.039134679701404516,
        ),
        (
            (3, 50),
            (9, 40),
            0.022129467900418462,
            0.02969910349009423,
            -0.3201143827842008,
            -0.0207429521622641,
        ),
        (
            (1, 20),
            (0, 25),
            0.25819504758394507,
            0.44444444444444453,
            -0.08939480249611924,
            0.2361311934467421,
        ),
    ];

    #[test]
    fn nothing_seen_says_nothing() {
        assert_eq!(two_proportions(of(0, 0), of(3, 5)), 1.0);
        assert_eq!(two_proportions(of(0, 9), of(0, 5)), 1.0);
        close(fisher_exact(of(0, 9), of(0, 5)), 1.0, 1e-12);
    }
}
