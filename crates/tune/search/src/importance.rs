//! How much a hyperparameter mattered, as far as a few trials can tell.

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

/// Permutations that chance is judged by.
const PERMUTATIONS: usize = 2_000;
/// Fewer trials say nothing.
const LEAST: usize = 4;

/// What each trial had for one hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// Numbers.
    Numbers(Vec<f64>),
    /// Kinds without an order, by index.
    Kinds(Vec<usize>),
}

/// How much a hyperparameter mattered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Importance {
    /// For numbers Spearman's rank correlation of the setting with the loss, from −1 (more is better) to 1 (less is
    /// better); for kinds the correlation ratio η of the losses' ranks, from 0 to 1. Each looks at one
    /// hyperparameter alone: an optimum in the middle, or two that only matter together, are not seen.
    pub strength: f64,
    /// Share of random orders of the losses that look as strong or stronger: what chance would do.
    pub p_value: f64,
    /// Trials that it is from.
    pub trials: usize,
}

/// Judges one hyperparameter by trials' losses, the less the better, infinite for failures. Nothing for fewer than
/// four trials, or when all have the same setting or the same loss.
#[must_use]
pub fn importance(settings: &Settings, losses: &[f64], seed: u64) -> Option<Importance> {
    let trials = losses.len();
    let count = match settings {
        Settings::Numbers(numbers) => numbers.len(),
        Settings::Kinds(kinds) => kinds.len(),
    };
    if trials < LEAST || count != trials {
        return None;
    }
    let mut losses = ranks(losses);
    let numbers = match settings {
        Settings::Numbers(numbers) => ranks(numbers),
        Settings::Kinds(_) => Vec::new(),
    };
    let measure = |losses: &[f64]| match settings {
        Settings::Numbers(_) => correlation(&numbers, losses),
        Settings::Kinds(kinds) => correlation_ratio(kinds, losses),
    };
    let strength = measure(&losses)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut as_strong = 0;
    for _ in 0..PERMUTATIONS {
        losses.shuffle(&mut random);
        let by_chance = measure(&losses).unwrap_or(0.0);
        as_strong += usize::from(by_chance.abs() + 1e-9 >= strength.abs());
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let p_value = (as_strong + 1) as f64 / (PERMUTATIONS + 1) as f64;
    Some(Importance { strength, p_value, trials })
}

/// Ranks from one; equal values share the mean of theirs.
#[expect(clippy::cast_precision_loss, reason = "a few trials")]
fn ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let less = values.iter().filter(|other| other.total_cmp(value).is_lt()).count();
            let equal = values.iter().filter(|other| other.total_cmp(value).is_eq()).count();
            less as f64 + (equal as f64 + 1.0) / 2.0
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a few trials")]
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Pearson's correlation; of ranks it is Spearman's.
fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let (mean_one, mean_other) = (mean(one.iter().copied()), mean(other.iter().copied()));
    let (mut product, mut square_one, mut square_other) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one - mean_one, other - mean_other);
        product += one * other;
        square_one += one * one;
        square_other += other * other;
    }
    let both: f64 = square_one * square_other;
    (both > 0.0).then(|| product / both.sqrt())
}

/// √(variance between kinds / variance of all).
#[expect(clippy::cast_precision_loss, reason = "a few trials")]
fn correlation_ratio(kinds: &[usize], values: &[f64]) -> Option<f64> {
    let overall = mean(values.iter().copied());
    let all: f64 = values.iter().map(|value| (value - overall).powi(2)).sum();
    let most = kinds.iter().max()?;
    let of_kind = |kind| kinds.iter().zip(values).filter(move |(one, _)| **one == kind);
    let between: f64 = (0..=*most)
        .map(|kind| {
            let count = of_kind(kind).count() as f64;
            let sum: f64 = of_kind(kind).map(|(_, value)| value).sum();
            if count > 0.0 { count * (sum / count - overall).powi(2) } else { 0.0 }
        })
        .sum();
    let differ = kinds.iter().any(|kind| *kind != kinds[0]);
    (differ && all > 0.0).then(|| (between / all).sqrt())
}
