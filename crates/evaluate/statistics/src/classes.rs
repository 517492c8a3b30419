//! Precision, recall and F1 per class, and their macro average with an interval.

use crate::bootstrap::percentile;
use crate::interval::{Interval, count, length};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One class's scores. Of nothing a ratio is 0, as scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Of the items answered with this class, the share that are of it.
    pub precision: f64,
    /// Of the items of this class, the share answered with it.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Items of this class.
    pub support: u64,
}

#[derive(Clone, Default)]
struct Counts {
    hit: u64,
    answered: u64,
    support: u64,
}

fn tally(classes: usize, items: impl Iterator<Item = (usize, Option<usize>)>) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); classes];
    for (expected, answered) in items {
        if let Some(class) = counts.get_mut(expected) {
            class.support += 1;
            class.hit += u64::from(answered == Some(expected));
        }
        if let Some(class) = answered.and_then(|class| counts.get_mut(class)) {
            class.answered += 1;
        }
    }
    counts
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}

impl Counts {
    fn f1(&self) -> f64 {
        ratio(2 * self.hit, self.answered + self.support)
    }
}

/// Scores of classes `0..classes` over items of (expected class, answered class); `None` is an
/// answer that names no class.
#[must_use]
pub fn class_scores(classes: usize, items: &[(usize, Option<usize>)]) -> Vec<ClassScore> {
    tally(classes, items.iter().copied())
        .iter()
        .map(|class| ClassScore {
            precision: ratio(class.hit, class.answered),
            recall: ratio(class.hit, class.support),
            f1: class.f1(),
            support: class.support,
        })
        .collect()
}

/// The mean F1 of the classes that occur, with a 95 % percentile bootstrap interval from
/// `resamples` draws of items. A draw averages over the classes that occur in it.
#[must_use]
pub fn macro_f1(
    classes: usize,
    items: &[(usize, Option<usize>)],
    resamples: usize,
    seed: u64,
) -> Interval {
    let value = mean_f1(&tally(classes, items.iter().copied()));
    if items.is_empty() || resamples == 0 {
        return Interval { value, low: 0.0, high: 1.0 };
    }
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..resamples)
        .map(|_| {
            let sample = (0..items.len())
                .filter_map(|_| items.get(draw.random_range(0..items.len())).copied());
            mean_f1(&tally(classes, sample))
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    Interval { value, low: percentile(&drawn, 0.025), high: percentile(&drawn, 0.975) }
}

fn mean_f1(counts: &[Counts]) -> f64 {
    let scores: Vec<f64> =
        counts.iter().filter(|class| class.support > 0).map(Counts::f1).collect();
    if scores.is_empty() { 0.0 } else { scores.iter().sum::<f64>() / length(scores.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    fn items() -> Vec<(usize, Option<usize>)> {
        (0..60)
            .map(|i| {
                let answered = match i % 7 {
                    0 => Some((i + 1) % 4),
                    3 => None,
                    _ => Some(i % 4),
                };
                (i % 4, answered)
            })
            .collect()
    }

    /// scikit-learn 1.7 `precision_recall_fscore_support(labels=range(4), zero_division=0)`.
    #[test]
    fn agrees_with_scikit_learn() {
        let scores = class_scores(4, &items());
        for (have, (precision, recall, f1, support)) in scores.iter().zip(CLASSES) {
            close(have.precision, precision, 1e-12);
            close(have.recall, recall, 1e-12);
            close(have.f1, f1, 1e-12);
            assert_eq!(have.support, support);
        }
        close(macro_f1(4, &items(), 100, 1).value, MACRO, 1e-12);
    }

    const CLASSES: [(f64, f64, f64, u64); 4] = [
        (0.8333333333333334, 0.6666666666666666, 0.7407407407407407, 15),
        (0.7857142857142857, 0.7333333333333333, 0.7586206896551724, 15),
        (0.8461538461538461, 0.7333333333333333, 0.7857142857142857, 15),
        (0.8333333333333334, 0.6666666666666666, 0.7407407407407407, 15),
    ];
    const MACRO: f64 = 0.7564541142127348;

    #[test]
    fn interval_holds_the_value_and_repeats() {
        let interval = macro_f1(4, &items(), 500, 3);
        assert!(interval.low < interval.value && interval.value < interval.high);
        assert_eq!(interval, macro_f1(4, &items(), 500, 3));
    }

    #[test]
    fn an_answer_outside_the_classes_is_wrong_for_all() {
        let scores = class_scores(2, &[(0, Some(9)), (1, Some(1)), (9, Some(1))]);
        assert_eq!(scores.iter().map(|class| class.recall).collect::<Vec<_>>(), [0.0, 1.0]);
        close(scores.last().unwrap().precision, 0.5, 1e-15);
    }
}
