//! A test of two streams that may be looked at after every observation.
//!
//! A rollout's guard polls: a fixed-sample test, looked at again and again, raises false alarms far
//! more often than its level. These p-values are *anytime-valid*: under the null, the chance that
//! they ever fall below alpha, however often one looks, is at most alpha.
//!
//! Each stream's likelihood ratio of a Beta(½, ½) mixture to a success rate p is a nonnegative
//! martingale when p is its true rate; for values in [0, 1] with mean p it is a supermartingale
//! (the ratio is convex in the value, so its mean is largest for a coin). The product of two
//! independent streams' ratios is one again, and its smallest value over all pairs of rates that
//! the null allows can by Ville's inequality exceed 1/alpha with probability at most alpha.
//! Ville (1939); Robbins (1970); Howard, Ramdas, McAuliffe and Sekhon (2021); Waudby-Smith and
//! Ramdas (2024).

use crate::gamma::ln_beta;
use crate::interval::{Interval, count};
use serde::{Deserialize, Serialize};

/// What was seen of one stream of values in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Stream {
    /// How many values.
    pub n: u64,
    /// Their sum: the number of successes for a stream of zeros and ones.
    pub sum: f64,
}

impl Stream {
    /// A stream of `hits` ones among `n` zeros and ones.
    #[must_use]
    pub const fn of_counts(hits: u64, n: u64) -> Self {
        Self { n, sum: count(hits) }
    }

    /// A stream of `n` values with this mean.
    #[must_use]
    pub const fn of_mean(mean: f64, n: u64) -> Self {
        Self { n, sum: mean * count(n) }
    }

    /// The mean, 0 of nothing.
    #[must_use]
    pub fn mean(self) -> f64 {
        if self.n == 0 { 0.0 } else { self.ones() / count(self.n) }
    }

    /// The same stream seen from the other side: 1 − value.
    #[must_use]
    pub fn complement(self) -> Self {
        Self { n: self.n, sum: self.zeros() }
    }

    const fn ones(self) -> f64 {
        self.sum.clamp(0.0, count(self.n))
    }

    const fn zeros(self) -> f64 {
        count(self.n) - self.ones()
    }

    /// ln of the mixture's likelihood.
    fn ln_mixture(self) -> f64 {
        ln_beta(self.ones() + 0.5, self.zeros() + 0.5) - ln_beta(0.5, 0.5)
    }

    /// ln of the likelihood at rate `p`.
    fn ln_likelihood(self, p: f64) -> f64 {
        times_ln(self.ones(), p) + times_ln(self.zeros(), 1.0 - p)
    }

    /// Derivative of the ln likelihood by the rate.
    fn slope(self, p: f64) -> f64 {
        let part = |k: f64, p: f64| if k == 0.0 { 0.0 } else { k / p };
        part(self.ones(), p) - part(self.zeros(), 1.0 - p)
    }
}

fn times_ln(k: f64, p: f64) -> f64 {
    if k == 0.0 { 0.0 } else { k * p.ln() }
}

/// Anytime-valid p-value of "the candidate's mean is at most `allowed` above the baseline's": small
/// when there is evidence of a larger increase.
///
/// `allowed` lies in [0, 1).
#[must_use]
pub fn increase_p_value(baseline: Stream, candidate: Stream, allowed: f64) -> f64 {
    let evidence = baseline.ln_mixture() + candidate.ln_mixture()
        - ln_likelihood_under_null(baseline, candidate, allowed.clamp(0.0, 1.0 - 1e-9));
    (-evidence).exp().min(1.0)
}

/// Anytime-valid p-value of "the candidate's mean is at most `allowed` below the baseline's".
#[must_use]
pub fn drop_p_value(baseline: Stream, candidate: Stream, allowed: f64) -> f64 {
    increase_p_value(baseline.complement(), candidate.complement(), allowed)
}

/// The largest ln likelihood over rates with candidate − baseline ≤ allowed.
fn ln_likelihood_under_null(baseline: Stream, candidate: Stream, allowed: f64) -> f64 {
    let nothing_on_one_side = baseline.n == 0 || candidate.n == 0;
    if nothing_on_one_side || candidate.mean() - baseline.mean() <= allowed {
        return baseline.ln_likelihood(baseline.mean()) + candidate.ln_likelihood(candidate.mean());
    }
    // The maximum lies on the border candidate = baseline + allowed, where the ln likelihood is
    // concave: bisect on its slope.
    let (mut low, mut high) = (0.0, 1.0 - allowed);
    for _ in 0..200 {
        let p = f64::midpoint(low, high);
        if baseline.slope(p) + candidate.slope(p + allowed) > 0.0 {
            low = p;
        } else {
            high = p;
        }
    }
    let p = f64::midpoint(low, high);
    baseline.ln_likelihood(p) + candidate.ln_likelihood(p + allowed)
}

/// The rates that a stream does not contradict: holds the true mean at all times at once with
/// probability at least 1 − `alpha`.
#[must_use]
pub fn confidence_sequence(stream: Stream, alpha: f64) -> Interval {
    let value = stream.mean();
    if stream.n == 0 {
        return Interval { value, low: 0.0, high: 1.0 };
    }
    let mixture = stream.ln_mixture();
    let contradicted = |p: f64| mixture - stream.ln_likelihood(p) >= -alpha.ln();
    let border = |mut outside: f64, mut inside: f64| {
        if !contradicted(outside) {
            return outside;
        }
        for _ in 0..100 {
            let middle = f64::midpoint(outside, inside);
            if contradicted(middle) { outside = middle } else { inside = middle }
        }
        inside
    };
    Interval { value, low: border(0.0, value), high: border(1.0, value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    /// The same quantity with scipy: `betaln`, and `minimize_scalar` over the null's border.
    #[test]
    fn agrees_with_a_numerical_maximum() {
        for (sb, nb, sc, nc, allowed, p) in SEQUENTIAL {
            let have =
                increase_p_value(Stream::of_counts(sb, nb), Stream::of_counts(sc, nc), allowed);
            close(have / p, 1.0, 1e-6);
        }
    }

    const SEQUENTIAL: [(u64, u64, u64, u64, f64, f64); 5] = [
        (5, 400, 9, 50, 0.02, 0.10105925104157548),
        (0, 200, 6, 40, 0.02, 0.16784207731925618),
        (40, 100, 70, 100, 0.1, 1.0),
        (10, 100, 10, 100, 0.0, 1.0),
        (2, 300, 25, 30, 0.0, 4.902111233116737e-28),
    ];

    /// Share of `runs` in which the p-value falls below 5 % at any of 400 looks.
    fn alarms(runs: u64, baseline: f64, candidate: f64, allowed: f64) -> u64 {
        let mut draw = ChaCha8Rng::seed_from_u64(17);
        (0..runs)
            .filter(|_| {
                let (mut b, mut c) = (Stream::default(), Stream::default());
                (0..400).any(|_| {
                    b = Stream { n: b.n + 1, sum: b.sum + f64::from(draw.random_bool(baseline)) };
                    c = Stream { n: c.n + 1, sum: c.sum + f64::from(draw.random_bool(candidate)) };
                    increase_p_value(b, c, allowed) < 0.05
                })
            })
            .count() as u64
    }

    #[test]
    fn looking_after_every_request_keeps_the_level() {
        assert!(alarms(400, 0.05, 0.05, 0.0) <= 20);
        assert!(alarms(400, 0.03, 0.05, 0.02) <= 20);
        assert!(alarms(400, 0.5, 0.6, 0.1) <= 20);
    }

    #[test]
    fn a_broken_candidate_is_found() {
        assert_eq!(alarms(100, 0.02, 0.5, 0.02), 100);
        assert!(alarms(100, 0.02, 0.15, 0.02) >= 80);
    }

    /// Scores between 0 and 1 keep the level too.
    #[test]
    fn holds_for_bounded_scores() {
        let mut draw = ChaCha8Rng::seed_from_u64(23);
        let mut score = || f64::from(draw.random_range(0..=4_u8)) / 4.0;
        let false_alarms = (0..300)
            .filter(|_| {
                let (mut b, mut c) = (Stream::default(), Stream::default());
                (0..200).any(|_| {
                    b = Stream { n: b.n + 1, sum: b.sum + score() };
                    c = Stream { n: c.n + 1, sum: c.sum + score() };
                    drop_p_value(b, c, 0.0) < 0.05
                })
            })
            .count();
        assert!(false_alarms <= 15, "{false_alarms} of 300");
        let worse = drop_p_value(Stream::of_mean(0.9, 80), Stream::of_mean(0.4, 40), 0.1);
        assert!(worse < 0.01, "{worse}");
    }

    #[test]
    fn one_empty_stream_says_nothing() {
        let p = increase_p_value(Stream::default(), Stream::of_counts(50, 50), 0.02);
        assert_eq!(p, 1.0);
        assert_eq!(increase_p_value(Stream::default(), Stream::default(), 0.0), 1.0);
    }

    #[test]
    fn confidence_sequence_narrows_and_holds_the_rate() {
        let wide = confidence_sequence(Stream::of_counts(8, 10), 0.05);
        let narrow = confidence_sequence(Stream::of_counts(800, 1_000), 0.05);
        assert!(wide.low < narrow.low && narrow.high < wide.high);
        assert!(narrow.low < 0.8 && 0.8 < narrow.high);
        let all = confidence_sequence(Stream::of_counts(20, 20), 0.05);
        close(all.high, 1.0, 0.0);
        assert_eq!(confidence_sequence(Stream::default(), 0.05).high, 1.0);
    }
}
