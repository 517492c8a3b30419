//! McNemar's test: do two targets that answered the same items differ in how many they get right?

use crate::gamma::ln_choose;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// Outcome of McNemar's test over the items on which the two disagree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Items that only the baseline got right.
    pub only_baseline: u64,
    /// Items that only the candidate got right.
    pub only_candidate: u64,
    /// The two-sided exact p-value.
    pub p_value: f64,
    /// The two-sided mid-p value: less conservative, close to nominal size (Fagerland, Lydersen and
    /// Laake 2013).
    pub mid_p_value: f64,
}

/// Tests whether disagreements fall evenly, by the exact binomial distribution.
#[must_use]
pub fn mcnemar(only_baseline: u64, only_candidate: u64) -> McNemar {
    let n = only_baseline + only_candidate;
    let fewer = only_baseline.min(only_candidate);
    // Summed from the largest term down, as shares of it, so that nothing underflows.
    let largest = ln_choose(n, fewer);
    let mut sum = 0.0;
    for k in (0..=fewer).rev() {
        let share = (ln_choose(n, k) - largest).exp();
        sum += share;
        if share < 1e-18 {
            break;
        }
    }
    let halves = |n: u64| crate::interval::count(n) * LN_2;
    let at = (largest - halves(n)).exp();
    let tail = (largest - halves(n) + f64::ln(sum)).exp();
    McNemar {
        only_baseline,
        only_candidate,
        p_value: (2.0 * tail).min(1.0),
        mid_p_value: (2.0 * tail - at).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    /// statsmodels 0.14 `mcnemar(exact=True)`; mid-p from scipy's binomial.
    #[test]
    fn agrees_with_statsmodels() {
        for (b, c, exact, mid) in MCNEMAR {
            let test = mcnemar(b, c);
            close(test.p_value / exact, 1.0, 1e-10);
            close(test.mid_p_value / mid, 1.0, 1e-10);
        }
    }

    const MCNEMAR: [(u64, u64, f64, f64); 5] = [
        (10, 30, 0.0022214337732293643, 0.0014504910141113232),
        (3, 5, 0.7265625, 0.5078125000000001),
        (8, 8, 1.0, 1.0000000000000002),
        (120, 310, 1.8515747206829008e-20, 1.2804883440153014e-20),
        (0, 12, 0.00048828125, 0.0002441406249999999),
    ];

    #[test]
    fn no_disagreement_says_nothing() {
        assert_eq!(mcnemar(0, 0).p_value, 1.0);
        assert_eq!(mcnemar(0, 0).mid_p_value, 1.0);
        assert_eq!(mcnemar(4, 9).p_value, mcnemar(9, 4).p_value);
    }
}
