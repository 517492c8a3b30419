//! Whole rollouts as text.

use crate::{
    Action, Arm, Decision, GateConfig, Observed, Pairing, RegressionPairing, RolloutConfig,
    RolloutPhase, RolloutState, Step, cancel, gate, promote_now, replay, roll_back_now, start,
    step,
};
use pelton_ids::Micros;
use std::fmt::Write as _;

fn arm(requests: u64, errors: u64, scores: u64, mean: f64) -> Arm {
    Arm { requests, errors, scores, score_mean: (scores > 0).then_some(mean) }
}

/// Runs a rollout over what is observed second by second; its log as text, and the log itself.
fn told(
    config: &RolloutConfig,
    seen: impl IntoIterator<Item = (Arm, Arm)>,
) -> (String, Vec<Decision>, RolloutState) {
    let Step { mut state, actions, decision } = start(config, Micros(0)).unwrap();
    let (mut text, mut log) = (String::new(), Vec::new());
    let mut write = |decision: Option<Decision>, actions: &[Action], log: &mut Vec<Decision>| {
        if let Some(decision) = decision {
            let second = decision.at.0 / 1_000_000;
            writeln!(
                text,
                "{second}s stage {} {:?}: {} {actions:?}",
                decision.stage, decision.action, decision.reason
            )
            .unwrap();
            log.push(decision);
        }
    };
    write(decision, &actions, &mut log);
    for (second, (baseline, candidate)) in seen.into_iter().enumerate() {
        let now = Micros((second as i64 + 1) * 1_000_000);
        let next = step(config, &state, &Observed { baseline, candidate }, now);
        write(next.decision, &next.actions, &mut log);
        state = next.state;
    }
    (text, log, state)
}

/// Ten requests a second, split by the weights that a healthy rollout has.
fn healthy(second: u64) -> (Arm, Arm) {
    let candidate = match second {
        0..60 => second,
        60..80 => 60 + (second - 60) * 5,
        _ => 160 + (second - 80) * 10,
    };
    let baseline = second * 10 - candidate;
    (
        arm(baseline, baseline / 100, baseline / 2, 0.6),
        arm(candidate, candidate / 100, candidate / 2, 0.8),
    )
}

#[test]
fn a_healthy_candidate_is_promoted() {
    let config = RolloutConfig::default();
    let (text, log, state) = told(&config, (1..100).map(healthy));
    insta::assert_snapshot!(text, @r##"
    0s stage 0 Start: the candidate gets 10 % of the traffic [SetWeight(10)]
    1s stage 0 Hold: the candidate has to answer 50 requests in this stage []
    50s stage 0 Advance: no guard objects: the candidate gets 50 % of the traffic [SetWeight(50)]
    51s stage 1 Hold: the candidate has to answer 50 requests in this stage []
    68s stage 1 Advance: no guard objects: the candidate gets 100 % of the traffic [SetWeight(100)]
    69s stage 2 Hold: the candidate has to answer 50 requests in this stage []
    78s stage 2 Promote: the last stage passed: no guard objects [Promote]
    "##);
    assert_eq!(state.phase, RolloutPhase::Promoted);
    assert_eq!(replay(&config, &log).unwrap(), state);
}

#[test]
fn a_failing_candidate_is_rolled_back_before_its_stage_ends() {
    let config = RolloutConfig::default();
    let seen = (1..60).map(|second| (arm(second * 9, 0, 0, 0.0), arm(second, second / 2, 0, 0.0)));
    let (text, log, state) = told(&config, seen);
    insta::assert_snapshot!(text, @r##"
    0s stage 0 Start: the candidate gets 10 % of the traffic [SetWeight(10)]
    1s stage 0 Hold: the candidate has to answer 50 requests in this stage []
    8s stage 0 RollBack: the candidate fails 50.0 % of its requests and the baseline 0.0 %; 2.0 points more are allowed (p = 0.0080) [RollBack]
    "##);
    assert_eq!(state.phase, RolloutPhase::RolledBack);
    assert_eq!(state.weight, 0);
    assert_eq!(replay(&config, &log).unwrap(), state);
}

#[test]
fn a_disliked_candidate_is_rolled_back() {
    let config = RolloutConfig::default();
    let seen =
        (1..200).map(|second| (arm(second * 9, 0, second * 9, 0.8), arm(second, 0, second, 0.3)));
    let (text, log, state) = told(&config, seen);
    insta::assert_snapshot!(text, @r##"
    0s stage 0 Start: the candidate gets 10 % of the traffic [SetWeight(10)]
    1s stage 0 Hold: the candidate has to answer 50 requests in this stage []
    28s stage 0 RollBack: the candidate's mean score is 0.300 and the baseline's 0.800; a drop of 0.1 is allowed (p = 0.0235) [RollBack]
    "##);
    assert_eq!(replay(&config, &log).unwrap(), state);
}

#[test]
fn holds_are_logged_once_per_reason() {
    let config = RolloutConfig { max_error_rate_increase: 0.0, ..RolloutConfig::default() };
    // No feedback until second 90, and a slightly higher error rate all along.
    let seen = (1..150).map(|second| {
        let scores = if second < 90 { 0 } else { 40 };
        (arm(second * 9, second / 10, scores, 0.7), arm(second, second / 50, scores, 0.7))
    });
    let (text, log, state) = told(&config, seen);
    insta::assert_snapshot!(text, @r##"
    0s stage 0 Start: the candidate gets 10 % of the traffic [SetWeight(10)]
    1s stage 0 Hold: the candidate has to answer 50 requests in this stage []
    50s stage 0 Hold: both releases need 20 feedback scores; start with min_feedback 0 to go on without []
    90s stage 0 Advance: no guard objects: the candidate gets 50 % of the traffic [SetWeight(50)]
    91s stage 1 Hold: the candidate has to answer 50 requests in this stage []
    140s stage 1 Hold: the candidate fails more often than allowed, but it may be chance []
    "##);
    assert_eq!(replay(&config, &log).unwrap(), state);
}

#[test]
fn without_feedback_when_asked() {
    let config = RolloutConfig {
        min_feedback: 0,
        stages: vec![50],
        min_requests_per_stage: 10,
        ..RolloutConfig::default()
    };
    let (_, _, state) = told(&config, (1..20).map(|s| (arm(s, 0, 0, 0.0), arm(s, 0, 0, 0.0))));
    assert_eq!((state.phase, state.weight), (RolloutPhase::Promoted, 100));
}

#[test]
fn people_decide_too_and_an_ended_rollout_stays_ended() {
    let config = RolloutConfig::default();
    let begun = start(&config, Micros(0)).unwrap();
    let seen = Observed { baseline: arm(9, 0, 0, 0.0), candidate: arm(1, 0, 0, 0.0) };
    let promoted = promote_now(&begun.state, "key:ana", &seen, Micros(5));
    assert_eq!(promoted.actions, [Action::Promote]);
    let back = roll_back_now(&begun.state, "key:ana", &seen, Micros(5));
    assert_eq!(back.actions, [Action::RollBack]);
    assert_eq!(back.state.reason.as_deref(), Some("rolled back by key:ana"));
    let cancelled = cancel(&begun.state, "the endpoint's traffic was set", &seen, Micros(5));
    assert!(cancelled.actions.is_empty());
    for ended in [promoted, back, cancelled] {
        let log = [begun.decision.clone().unwrap(), ended.decision.clone().unwrap()];
        assert_eq!(replay(&config, &log).unwrap(), ended.state);
        assert!(step(&config, &ended.state, &seen, Micros(6)).decision.is_none());
        assert!(roll_back_now(&ended.state, "x", &seen, Micros(6)).actions.is_empty());
    }
}

#[test]
fn a_log_that_was_touched_is_noticed() {
    let config = RolloutConfig::default();
    let (_, mut log, _) = told(&config, (1..100).map(healthy));
    assert_eq!(
        replay(&config, &log[1..]).unwrap_err().to_string(),
        "the log does not begin with the rollout's start"
    );
    let last = log.last_mut().unwrap();
    last.observed.candidate.errors = last.observed.candidate.requests;
    assert!(replay(&config, &log).unwrap_err().to_string().contains("is not what the rules give"));
}

#[test]
fn senseless_settings_are_refused() {
    for stages in [vec![], vec![0, 100], vec![50, 10], vec![50, 50], vec![101]] {
        let config = RolloutConfig { stages, ..RolloutConfig::default() };
        assert!(start(&config, Micros(0)).is_err());
    }
    let config = RolloutConfig { max_feedback_drop: 1.5, ..RolloutConfig::default() };
    let refused = start(&config, Micros(0)).unwrap_err();
    assert_eq!(refused.to_string(), "max_feedback_drop should lie within 0 and 1");
}

fn decided(task: Pairing, regression: Option<(Pairing, f64)>, min_gain: f64) -> String {
    let regression = regression.map(|(pairing, margin)| RegressionPairing { pairing, margin });
    let decision = gate(&task, regression.as_ref(), &GateConfig { alpha: 0.05, min_gain });
    let mut text = format!("passed: {}\n", decision.passed);
    for rule in decision.rules {
        writeln!(text, "{} {}: {}", if rule.passed { "+" } else { "-" }, rule.name, rule.detail)
            .unwrap();
    }
    text
}

const fn pairing(
    n: u64,
    baseline_correct: u64,
    only_baseline: u64,
    only_candidate: u64,
) -> Pairing {
    Pairing { n, baseline_correct, only_baseline, only_candidate }
}

#[test]
fn the_gate_gives_its_reasons() {
    let better = pairing(500, 300, 20, 150);
    let kept = pairing(400, 350, 8, 6);
    insta::assert_snapshot!(decided(better, Some((kept, 0.03)), 0.05), @r##"
    passed: true
    + task_better: 60.0 % to 86.0 % on 500 items; the candidate alone is right on 150, the baseline alone on 20 (p = 8.0e-26, level 0.05)
    + task_gain: gains 26.0 points, at least 5.0 points are asked for
    + regression_kept: 87.5 % to 87.0 % on 400 items; with 95 % confidence the change is above -2.2 points, 3.0 points less is allowed (p = 0.0118)
    "##);
    insta::assert_snapshot!(decided(pairing(500, 300, 20, 30), Some((pairing(400, 350, 40, 10), 0.03)), 0.05), @r##"
    passed: false
    - task_better: 60.0 % to 62.0 % on 500 items; the candidate alone is right on 30, the baseline alone on 20 (p = 0.2026, level 0.05)
    - task_gain: gains 2.0 points, at least 5.0 points are asked for
    - regression_kept: 87.5 % to 80.0 % on 400 items; with 95 % confidence the change is above -10.5 points, 3.0 points less is allowed (p = 0.9962)
    "##);
    assert!(decided(better, None, 0.0).starts_with("passed: true"));
    assert!(decided(pairing(0, 0, 0, 0), None, 0.0).starts_with("passed: false"));
    assert!(decided(pairing(500, 300, 150, 20), None, 0.0).starts_with("passed: false"));
}
