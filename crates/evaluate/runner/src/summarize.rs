//! Scores of an evaluation with their intervals.

use crate::sample::SampleResult;
use pelton_statistics::{Interval, class_scores, macro_f1, wilson};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Classes that an evaluation may have at most.
const MOST_CLASSES: usize = 500;
/// Draws for the macro-F1 interval.
const RESAMPLES: usize = 1_000;

/// Scores of one class, a class being a distinct wanted answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassResult {
    /// The wanted answer.
    pub label: String,
    /// Of the items answered with it, the share of which it is the answer.
    pub precision: f64,
    /// Of the items of which it is the answer, the share answered with it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Items of which it is the answer.
    pub support: u64,
}

/// Scores of one group of items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupResult {
    /// Its name.
    pub group: String,
    /// Share right.
    pub value: f64,
    /// Lower bound of the 95 % Wilson interval.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Its items.
    pub n: u64,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Items.
    pub n: u64,
    /// Items without an answer; they count as wrong below.
    pub unscored: u64,
    /// Share right of all items, with its 95 % Wilson interval.
    pub exact_match: Interval,
    /// Mean F1 over classes with its 95 % bootstrap interval, where the wanted answers are classes.
    pub macro_f1: Option<Interval>,
    /// Scores per class, where the wanted answers are classes.
    pub per_class: Vec<ClassResult>,
    /// Scores per group.
    pub by_group: Vec<GroupResult>,
    /// Mean time to an answer, over answered items, in milliseconds.
    pub mean_latency_ms: Option<f64>,
}

/// Summarizes results. Wanted answers are classes when there are at least two and at most 500 of
/// them and, in the mean, at least three items to one.
#[must_use]
pub fn summarize(results: &[SampleResult]) -> Summary {
    let n = results.len() as u64;
    let correct = results.iter().filter(|result| result.correct).count() as u64;
    let latencies: Vec<f64> = results.iter().filter_map(|result| result.latency_ms).collect();
    let (macro_f1, per_class) = by_class(results);
    Summary {
        n,
        unscored: results.iter().filter(|result| !result.is_scored()).count() as u64,
        exact_match: wilson(correct, n, 0.95),
        macro_f1,
        per_class,
        by_group: by_group(results),
        mean_latency_ms: mean(&latencies),
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples stay far below 2^53")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn by_class(results: &[SampleResult]) -> (Option<Interval>, Vec<ClassResult>) {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for result in results {
        classes.entry(result.expected.trim()).or_default();
    }
    if !(2..=MOST_CLASSES).contains(&classes.len()) || classes.len() * 3 > results.len() {
        return (None, Vec::new());
    }
    for (place, number) in classes.values_mut().enumerate() {
        *number = place;
    }
    let items: Vec<(usize, Option<usize>)> = results
        .iter()
        .filter_map(|result| {
            let expected = *classes.get(result.expected.trim())?;
            // An answer may be right in another spelling of the same JSON.
            let answered = if result.correct {
                Some(expected)
            } else {
                result.output.as_deref().and_then(|output| classes.get(output.trim())).copied()
            };
            Some((expected, answered))
        })
        .collect();
    let per_class = classes
        .keys()
        .zip(class_scores(classes.len(), &items))
        .map(|(label, score)| ClassResult {
            label: (*label).to_owned(),
            precision: score.precision,
            recall: score.recall,
            f1: score.f1,
            support: score.support,
        })
        .collect();
    (Some(macro_f1(classes.len(), &items, RESAMPLES, 1)), per_class)
}

fn by_group(results: &[SampleResult]) -> Vec<GroupResult> {
    let mut groups: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for result in results {
        if let Some(group) = &result.group {
            let (correct, n) = groups.entry(group).or_default();
            *correct += u64::from(result.correct);
            *n += 1;
        }
    }
    groups
        .into_iter()
        .map(|(group, (correct, n))| {
            let Interval { value, low, high } = wilson(correct, n, 0.95);
            GroupResult { group: group.to_owned(), value, low, high, n }
        })
        .collect()
}
