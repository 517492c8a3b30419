//! Figures for rollouts: the same before and after sealing, and up to date between polls.

use super::sample::{START, feedback, open, project, record, release};
use pelton_trace_store::{ReleaseStats, StoreOptions};

/// Counted by hand over the sample's rules.
fn expected(numbers: std::ops::Range<u64>, judged: &[u64]) -> Vec<ReleaseStats> {
    let releases = [None, Some(release(1)), Some(release(2))];
    let stats = releases.map(|release_id| {
        let of = |number: &u64| record(*number).summary.release_id == release_id;
        let requests = numbers.clone().filter(of).count() as u64;
        let failed = |number: &u64| of(number) && record(*number).summary.status.is_failure();
        let errors = numbers.clone().filter(failed).count() as u64;
        let scores = judged.iter().filter(|number| of(number)).count() as u64;
        ReleaseStats {
            release_id,
            requests,
            errors,
            scores,
            score_mean: (scores > 0).then_some(0.5),
        }
    });
    stats.into_iter().filter(|stats| stats.requests > 0).collect()
}

#[tokio::test]
async fn counts_hot_sealed_and_mixed_alike() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &<_>::default(), StoreOptions::default()).await;
    let writer = store.writer();
    let since = START.plus(5_000_000);
    let stats = async || store.release_stats(project(1), since).await.unwrap();
    for number in 0..20 {
        assert!(writer.record(record(number)));
    }
    writer.feedback_durable(feedback(100, 7)).await.unwrap();
    // Judges a call from before the time asked for.
    writer.feedback_durable(feedback(101, 2)).await.unwrap();
    assert_eq!(stats().await, expected(5..20, &[7]));
    for number in 20..30 {
        writer.record_durable(record(number)).await.unwrap();
    }
    assert_eq!(stats().await, expected(5..30, &[7]));
    writer.record_durable(record(30)).await.unwrap();
    // Sealed with a row that the last poll had not seen.
    store.rotate_and_seal().await.unwrap();
    assert_eq!(stats().await, expected(5..31, &[7]));
    for number in 31..40 {
        writer.record_durable(record(number)).await.unwrap();
    }
    writer.feedback_durable(feedback(102, 8)).await.unwrap();
    assert_eq!(stats().await, expected(5..40, &[7, 8]));
    assert_eq!(stats().await, expected(5..40, &[7, 8]));
    assert_eq!(store.release_stats(project(2), since).await.unwrap(), []);
}
