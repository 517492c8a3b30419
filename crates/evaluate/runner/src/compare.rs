//! Two evaluations of the same items, side by side.

use crate::sample::SampleResult;
use pelton_statistics::{Interval, McNemar, mcnemar, paired_difference};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// Flips listed at most.
const FLIPS_SHOWN: usize = 50;

/// An item on which exactly one of the two is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// Place in the candidate's evaluation.
    pub index: u64,
    /// What was asked.
    pub input: String,
    /// The wanted answer.
    pub expected: String,
    /// The baseline's answer, or null.
    pub baseline_output: Option<String>,
    /// The candidate's answer, or null.
    pub candidate_output: Option<String>,
    /// Whether it is the candidate that is right.
    pub candidate_correct: bool,
}

/// How a candidate compares with a baseline on the items that both answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Items in both evaluations. Items without an answer count as wrong.
    pub n_paired: u64,
    /// Items of either that the other lacks; they are left out.
    pub n_unpaired: u64,
    /// Pairs that the baseline got right.
    pub baseline_correct: u64,
    /// Candidate's share right minus the baseline's over the pairs, with its 95 % paired bootstrap
    /// (BCa) interval.
    pub difference: Interval,
    /// McNemar's test over the pairs.
    pub mcnemar: McNemar,
    /// The first 50 items on which exactly one is right.
    pub flips: Vec<Flip>,
}

/// Pairs results by row hash (equal rows in order) and compares.
#[must_use]
pub fn compare(baseline: &[SampleResult], candidate: &[SampleResult]) -> Comparison {
    let mut waiting: HashMap<&str, VecDeque<&SampleResult>> = HashMap::new();
    for result in baseline {
        waiting.entry(&result.row_hash).or_default().push_back(result);
    }
    let pairs: Vec<(&SampleResult, &SampleResult)> = candidate
        .iter()
        .filter_map(|result| {
            let before = waiting.get_mut(result.row_hash.as_str())?.pop_front()?;
            Some((before, result))
        })
        .collect();
    let right = |side: fn(&(&SampleResult, &SampleResult)) -> bool| -> Vec<bool> {
        pairs.iter().map(side).collect()
    };
    let (before, after) = (right(|pair| pair.0.correct), right(|pair| pair.1.correct));
    let only = |wanted: (bool, bool)| {
        before.iter().zip(&after).filter(|&(&b, &a)| (b, a) == wanted).count() as u64
    };
    let paired = pairs.len();
    Comparison {
        n_paired: paired as u64,
        n_unpaired: (baseline.len() + candidate.len() - 2 * paired) as u64,
        baseline_correct: before.iter().filter(|&&right| right).count() as u64,
        difference: paired_difference(&before, &after, 1).unwrap_or(Interval {
            value: 0.0,
            low: -1.0,
            high: 1.0,
        }),
        mcnemar: mcnemar(only((true, false)), only((false, true))),
        flips: pairs
            .iter()
            .filter(|(before, after)| before.correct != after.correct)
            .take(FLIPS_SHOWN)
            .map(|(before, after)| Flip {
                index: after.index,
                input: after.input.clone(),
                expected: after.expected.clone(),
                baseline_output: before.output.clone(),
                candidate_output: after.output.clone(),
                candidate_correct: after.correct,
            })
            .collect(),
    }
}
