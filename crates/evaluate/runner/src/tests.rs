//! Runs against targets that the tests write.

use crate::{
    Cancelled, Completion, CompletionOptions, ConstantAnswer, RunConfig, Sample, SampleResult,
    Shot, Target, TargetError, compare, read_results, run, summarize, with_shots, write_results,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Barrier;

fn sample(n: usize, expected: &str) -> Sample {
    Sample {
        row_hash: format!("sha256:{n}"),
        messages: vec![
            json!({"role": "system", "content": "Answer."}),
            json!({"role": "user", "content": format!("question {n}")}),
        ],
        expected: expected.into(),
        group: Some(if n.is_multiple_of(2) { "even" } else { "odd" }.into()),
    }
}

fn question(messages: &[Value]) -> usize {
    let text = messages.last().unwrap()["content"].as_str().unwrap();
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Answers `a0`, `a1`, `a2` by the question's number modulo 3, refuses every tenth, is busy once
/// for every eleventh.
#[derive(Default)]
struct Desk {
    busy: AtomicUsize,
}

#[async_trait]
impl Target for Desk {
    async fn complete(
        &self,
        messages: &[Value],
        _options: &CompletionOptions,
    ) -> Result<Completion, TargetError> {
        let n = question(messages);
        if n % 10 == 9 {
            return Err(TargetError { message: "refused".into(), retryable: false });
        }
        if n % 11 == 10 && self.busy.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(TargetError { message: "busy".into(), retryable: true });
        }
        Ok(Completion { text: format!("a{}", n % 3), latency_ms: 2.0, ..Completion::default() })
    }
}

fn go_on(_: crate::RunProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[tokio::test(start_paused = true)]
async fn unscored_samples_are_counted_and_stay_in_the_denominator() {
    // Every fifth answer is wanted otherwise.
    let samples: Vec<Sample> = (0..60)
        .map(|n| sample(n, &format!("a{}", if n % 5 == 0 { (n + 1) % 3 } else { n % 3 })))
        .collect();
    let desk = Desk::default();
    let mut seen = Vec::new();
    let results =
        run(&desk, &samples, &RunConfig { concurrency: 7, ..RunConfig::default() }, |p| {
            seen.push((p.done, p.total));
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    assert_eq!(seen.last(), Some(&(60, 60)));
    assert!(results.iter().enumerate().all(|(at, result)| result.index == at as u64));
    let summary = summarize(&results);
    assert_eq!((summary.n, summary.unscored), (60, 6));
    // 60 less 12 wanted otherwise less 6 refused.
    assert!((summary.exact_match.value - 42.0 / 60.0).abs() < 1e-12);
    assert_eq!(summary.by_group.iter().map(|group| group.n).collect::<Vec<_>>(), [30, 30]);
    assert_eq!(summary.mean_latency_ms, Some(2.0));
    let refused = results.get(9).unwrap();
    assert_eq!((refused.error.as_deref(), refused.output.as_deref()), (Some("refused"), None));
    assert!(desk.busy.load(Ordering::SeqCst) >= 6, "busy targets are asked again");
    assert_eq!(refused.input, "question 9");

    let classes: Vec<(&str, u64)> =
        summary.per_class.iter().map(|class| (class.label.as_str(), class.support)).collect();
    assert_eq!(classes.iter().map(|class| class.1).sum::<u64>(), 60);
    assert_eq!(classes.len(), 3);
    let f1 = summary.macro_f1.unwrap();
    assert!(f1.low <= f1.value && f1.value <= f1.high && f1.value > 0.7);

    let mut file = Vec::new();
    write_results(&results, &mut file).unwrap();
    assert_eq!(read_results(file.as_slice()).unwrap(), results);
}

#[tokio::test]
async fn free_answers_are_no_classes() {
    let samples: Vec<Sample> = (0..9).map(|n| sample(n, &format!("text {n}"))).collect();
    let results = run(&ConstantAnswer("text 3".into()), &samples, &RunConfig::default(), go_on)
        .await
        .unwrap();
    let summary = summarize(&results);
    assert!(summary.macro_f1.is_none() && summary.per_class.is_empty());
    assert_eq!(results.iter().filter(|result| result.correct).count(), 1);
}

struct Together(Barrier);

#[async_trait]
impl Target for Together {
    async fn complete(
        &self,
        _messages: &[Value],
        _options: &CompletionOptions,
    ) -> Result<Completion, TargetError> {
        self.0.wait().await;
        Ok(Completion::default())
    }
}

/// Would never end if fewer than eight were in flight.
#[tokio::test]
async fn as_many_samples_are_in_flight_as_asked() {
    let samples: Vec<Sample> = (0..24).map(|n| sample(n, "x")).collect();
    let config = RunConfig { concurrency: 8, ..RunConfig::default() };
    let results = run(&Together(Barrier::new(8)), &samples, &config, go_on).await.unwrap();
    assert_eq!(results.len(), 24);
}

#[tokio::test]
async fn progress_can_stop_a_run() {
    let samples: Vec<Sample> = (0..24).map(|n| sample(n, "x")).collect();
    let config = RunConfig { concurrency: 1, ..RunConfig::default() };
    let mut asked = 0;
    let stopped = run(&ConstantAnswer("x".into()), &samples, &config, |progress| {
        asked = progress.done;
        if progress.done == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    assert_eq!((stopped, asked), (Err(Cancelled), 5));
}

#[test]
fn examples_stand_between_instructions_and_question() {
    let shots = [Shot { messages: sample(1, "").messages, answer: "one".into() }];
    let messages = with_shots(&sample(2, "").messages, &shots);
    let shown: Vec<String> = messages
        .iter()
        .map(|m| format!("{}: {}", m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        ["system: Answer.", "user: question 1", "assistant: one", "user: question 2"]
    );
}

#[test]
fn the_constant_is_the_most_frequent_answer() {
    assert_eq!(
        ConstantAnswer::majority(["b", "a", "b", "a", "c"]),
        Some(ConstantAnswer("a".into()))
    );
    assert_eq!(ConstantAnswer::majority([]), None);
}

fn result(hash: &str, correct: bool) -> SampleResult {
    SampleResult {
        index: 0,
        row_hash: hash.into(),
        input: String::new(),
        expected: "x".into(),
        output: Some(if correct { "x" } else { "y" }.into()),
        correct,
        group: None,
        error: None,
        latency_ms: None,
    }
}

#[test]
fn comparison_pairs_by_row() {
    let baseline: Vec<SampleResult> =
        (0..100).map(|n| result(&format!("h{n}"), n % 2 == 0)).collect();
    // In another order, one item missing, one new, right on all but every tenth.
    let candidate: Vec<SampleResult> =
        (1..101).rev().map(|n| result(&format!("h{n}"), n % 10 != 0)).collect();
    let found = compare(&baseline, &candidate);
    assert_eq!((found.n_paired, found.n_unpaired), (99, 2));
    assert_eq!((found.mcnemar.only_baseline, found.mcnemar.only_candidate), (9, 50));
    assert!((found.difference.value - 41.0 / 99.0).abs() < 1e-12);
    assert!(found.difference.low > 0.2 && found.mcnemar.p_value < 1e-6);
    assert_eq!(found.flips.len(), 50);
    assert!(found.flips.iter().any(|flip| !flip.candidate_correct));
    let apart = compare(&baseline, &[result("elsewhere", true)]);
    assert_eq!((apart.n_paired, apart.mcnemar.p_value), (0, 1.0));
    let twice = [result("h", true), result("h", false)];
    assert_eq!(compare(&twice, &twice).mcnemar.only_baseline, 0);
}
