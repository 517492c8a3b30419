//! Cuts many sequences into batches of bounded size and runs them on a few threads.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// How a list of sequences is computed.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Tokens of a batch; a longer sequence is a batch of its own.
    pub tokens: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Set by a caller that no longer waits: what is left is not computed.
    pub abandoned: &'a AtomicBool,
}

/// Ranges of sequences with these lengths, each of at most `budget` tokens or one sequence.
pub(crate) fn batches(lengths: &[usize], budget: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (at, &length) in lengths.iter().enumerate() {
        if at > start && tokens + length > budget {
            ranges.push(start..at);
            (start, tokens) = (at, 0);
        }
        tokens += length;
    }
    if start < lengths.len() {
        ranges.push(start..lengths.len());
    }
    ranges
}

/// Results of `compute` for all batches in their order; `None` when the work was abandoned.
pub(crate) fn run<T: Send>(
    lengths: &[usize],
    work: Work<'_>,
    compute: impl Fn(std::ops::Range<usize>) -> Vec<T> + Sync,
) -> Option<Vec<T>> {
    let threads = work.threads.max(1);
    // Enough batches for all threads, where there are enough sequences.
    let total: usize = lengths.iter().sum();
    let budget = work.tokens.min(total.div_ceil(threads)).max(1);
    let ranges = batches(lengths, budget);
    let done: Vec<Mutex<Option<Vec<T>>>> = ranges.iter().map(|_| Mutex::new(None)).collect();
    let jobs = Mutex::new(ranges.iter().zip(&done));
    let turn = || {
        loop {
            if work.abandoned.load(Ordering::Relaxed) {
                return;
            }
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((range, place)) = next else { return };
            let result = compute(range.clone());
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(ranges.len()) {
            scope.spawn(turn);
        }
        turn();
    });
    let results = done.into_iter().map(|place| place.into_inner().ok().flatten());
    let results: Option<Vec<Vec<T>>> = results.collect();
    results.map(|results| results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::{Work, batches, run};

    #[test]
    fn batches_stay_within_the_budget() {
        assert_eq!(batches(&[3, 3, 3, 9, 1], 6), [0..2, 2..3, 3..4, 4..5]);
        assert!(batches(&[], 6).is_empty());
        assert_eq!(batches(&[7, 1], 6), [0..1, 1..2]);
    }

    #[test]
    fn results_keep_their_order_and_nobody_computes_for_nobody() {
        let lengths = [5, 1, 1, 8, 2, 2, 2];
        let abandoned = AtomicBool::new(false);
        let work = Work { tokens: 4, threads: 3, abandoned: &abandoned };
        let found = run(&lengths, work, |range| range.collect());
        assert_eq!(found, Some((0..7).collect()));
        abandoned.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(run(&lengths, work, |range| range.collect::<Vec<usize>>()), None);
    }
}
