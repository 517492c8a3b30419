//! Reports as text, from made-up results.

use crate::report::{
    Banking77Report, CurvePoint, Loss, Refit, Regression, StepTime, TelcoReport, TurnReport,
};
use crate::report_html::page;
use crate::report_text::markdown;
use crate::score::Score;
use crate::telco::{Split, item};
use crate::{datasets, fake_server, options::Plan, options::TurnOptions};
use serde_json::{Value, json};

fn score(value: f64, n: u64) -> Score {
    Score {
        evaluation_id: format!("eval_{value}"),
        value,
        low: value - 0.04,
        high: value + 0.04,
        n,
        unscored: 0,
        macro_f1: None,
    }
}

fn refit(rows: u64, seed: u64, value: f64, p_value: f64) -> Refit {
    Refit {
        model: format!("telco-desk@{seed}"),
        job_id: format!("job_{seed}"),
        rows: Some(rows),
        seed,
        shuffled: false,
        best_val_loss: Some(0.1),
        seconds: 30.0,
        score: Some(score(value, 500)),
        p_value: Some(p_value),
        difference: Some((0.1, 0.05, 0.15)),
    }
}

fn telco() -> TelcoReport {
    TelcoReport {
        url: "http://127.0.0.1:7077".into(),
        endpoint: "telco-desk".into(),
        base_model: "pelton/pelton-tiny@1".into(),
        requests: 1_200,
        traffic_accuracy: 0.61,
        checked: 720,
        corrected: 280,
        dataset: json!({ "name": "telco@1", "rows": { "train": 648, "validation": 72, "test": 0 } }),
        base: score(0.6, 500),
        constant: score(0.4, 500),
        few_shot: score(0.55, 500),
        shots: 3,
        shuffled: vec![Refit { shuffled: true, ..refit(500, 1, 0.35, 1e-9) }],
        tuned_few: vec![refit(50, 1, 0.7, 0.002), refit(50, 2, 0.74, 1e-5)],
        tuned_many: vec![refit(500, 1, 0.92, 3e-30), refit(500, 2, 0.94, 2e-32)],
        regression_base: score(0.9, 400),
        regression_tuned: vec![Regression {
            model: "telco-desk@1".into(),
            seed: 1,
            rows: Some(500),
            score: score(0.885, 400),
        }],
        regression_margin: 0.05,
        losses: vec![
            Loss { step: 1, train: Some(2.0), validation: None },
            Loss { step: 40, train: Some(0.2), validation: Some(0.3) },
        ],
        gate: json!({ "id": "gate_1", "passed": true, "rules": [
            { "name": "task_better", "passed": true, "detail": "60.0 % to 92.0 % <on> 500 items" }] }),
        rollout: json!({ "state": "promoted", "decisions": [
            { "at": "2026-01-31T12:00:00.000000Z", "action": "start", "reason": "10 % of the traffic",
              "observed": { "candidate": { "requests": 0, "errors": 0, "scores": 0, "score_mean": null } } },
            { "at": "2026-01-31T12:00:05.000000Z", "action": "hold", "reason": "more requests",
              "observed": { "candidate": { "requests": 9, "errors": 0, "scores": 9, "score_mean": 0.9 } } },
            { "at": "2026-01-31T12:01:00.000000Z", "action": "promote", "reason": "the last stage passed",
              "observed": { "candidate": { "requests": 160, "errors": 0, "scores": 160, "score_mean": 0.93 } } }] }),
        release: "telco-desk-1-tuned".into(),
        released_model: "telco-desk@1".into(),
        curl: "curl -s http://127.0.0.1:7077/v1/chat/completions".into(),
        steps: vec![StepTime { name: "fine-tune".into(), seconds: 301.5 }],
        minutes: 9.5,
        ..TelcoReport::default()
    }
}

#[test]
fn telco_report_as_markdown() {
    insta::assert_snapshot!(markdown(&TurnReport::Telco(Box::new(telco()))), @r##"
    # The wheel turned once: telco desk

    1200 questions through `telco-desk`, 61.0 % right; the application checked 720 answers and corrected 280.
    Dataset telco@1: 648 training and 72 validation rows. 500 held-out questions, 0 of them among the traffic.

    | held-out questions                 |        right |               95 % interval |             against base |
    | ---------------------------------- | -----------: | --------------------------: | -----------------------: |
    | constant answer                    |       40.0 % |              36.0 to 44.0 % |                          |
    | base                               |       60.0 % |              56.0 to 64.0 % |                          |
    | base, 3 examples in the prompt     |       55.0 % |              51.0 to 59.0 % |                          |
    | tuned on 500 with shuffled answers |       35.0 % |              31.0 to 39.0 % |   -25.0 points, p = 1e-9 |
    | tuned on 50                        | 72.0 % ± 2.8 | 2 seeds, standard deviation | +12.0 points, p ≤ 0.0020 |
    | tuned on 500                       | 93.0 % ± 1.4 | 2 seeds, standard deviation |  +33.0 points, p ≤ 3e-30 |

    | regression set       |  right |  95 % interval |
    | -------------------- | -----: | -------------: |
    | base                 | 90.0 % | 86.0 to 94.0 % |
    | tuned on 500, seed 1 | 88.5 % | 84.5 to 92.5 % |

    The regression set falls by 1.5 points in the mean; 5 are allowed.

    The gate passed for telco-desk@1:

    - ✓ task_better: 60.0 % to 92.0 % <on> 500 items

    Rollout of telco-desk-1-tuned: promoted.

    - start: 10 % of the traffic (0 requests, 0 errors, mean score -)
    - promote: the last stage passed (160 requests, 0 errors, mean score 0.93)

    | step      |    time |
    | --------- | ------: |
    | fine-tune | 301.5 s |

    9.5 minutes in all.

    Console: http://127.0.0.1:7077/
    Ask the new release:

    curl -s http://127.0.0.1:7077/v1/chat/completions
    "##);
}

#[test]
fn a_gate_that_does_not_pass_is_told_and_is_no_success() {
    let report = TelcoReport {
        gate: json!({ "passed": false, "rules": [
            { "name": "regression_kept", "passed": false, "detail": "falls by 9 points" }] }),
        rollout: Value::Null,
        ..telco()
    };
    let report = TurnReport::Telco(Box::new(report));
    assert!(!report.succeeded());
    let text = markdown(&report);
    assert!(text.contains("did not pass") && text.contains("✗ regression_kept"));
    assert!(text.contains("Nothing was rolled out") && !text.contains("Ask the new release"));
}

fn banking77() -> Banking77Report {
    let point = |rows, value| CurvePoint { rows, refit: refit(rows, 1, value, 1e-9) };
    Banking77Report {
        base_model: "pelton/pelton-tiny@1".into(),
        train_rows: 10_003,
        test_rows: 3_080,
        base: score(0.0, 3_080),
        constant: score(0.013, 3_080),
        curve: vec![point(50, 0.05), point(500, 0.4), point(5_000, 0.7), point(10_003, 0.78)],
        tfidf: Some(0.87),
        train_minutes: 12.0,
        ..Banking77Report::default()
    }
}

#[test]
fn banking77_report_as_markdown() {
    insta::assert_snapshot!(markdown(&TurnReport::Banking77(Box::new(banking77()))), @r##"
    # The wheel on real queries: banking77

    10003 published training queries, 3080 of 3080 published test queries, 77 intents, base pelton/pelton-tiny@1.

    | test queries                         |            right (95 %) | macro F1 | training |
    | ------------------------------------ | ----------------------: | -------: | -------: |
    | constant answer                      |   1.3 % (-2.7 to 5.3 %) |          |          |
    | base                                 |   0.0 % (-4.0 to 4.0 %) |          |          |
    | tuned on 50                          |    5.0 % (1.0 to 9.0 %) |          |  0.5 min |
    | tuned on 500                         | 40.0 % (36.0 to 44.0 %) |          |  0.5 min |
    | tuned on 5000                        | 70.0 % (66.0 to 74.0 %) |          |  0.5 min |
    | tuned on 10003                       | 78.0 % (74.0 to 82.0 %) |          |  0.5 min |
    | TF-IDF with logistic regression, all |                  87.0 % |          |          |

    | step | time |
    | ---- | ---: |

    0.0 minutes in all.
    "##);
}

#[test]
fn checks_are_the_numbers_that_benchmarks_watch() {
    insta::assert_snapshot!(
        format!("{:#?}", TurnReport::Telco(Box::new(telco())).checks()), @r##"
    {
        "regression_drop": 0.015000000000000013,
        "shuffled_control_gain": -0.25,
        "telco_base_accuracy": 0.6,
        "telco_p_value_500": 3e-30,
        "telco_tuned_accuracy_50": 0.72,
        "telco_tuned_accuracy_500": 0.9299999999999999,
        "turn_minutes": 9.5,
    }
    "##);
    let names: Vec<String> =
        TurnReport::Banking77(Box::new(banking77())).checks().into_keys().collect();
    assert_eq!(
        names,
        [
            "banking77_base_accuracy",
            "banking77_tfidf_accuracy",
            "banking77_train_minutes",
            "banking77_tuned_accuracy"
        ]
    );
}

/// Every tag is closed in its order, no text is left unescaped, nothing is fetched.
#[test]
fn pages_are_whole_and_stand_alone() {
    for report in
        [TurnReport::Telco(Box::new(telco())), TurnReport::Banking77(Box::new(banking77()))]
    {
        let html = page(&report);
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1) {
            let name = tag.split(['>', ' ', '/']).next().unwrap();
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), closed.split('>').next());
            } else if !matches!(name, "!doctype" | "meta")
                && !tag.split('>').next().unwrap().ends_with('/')
            {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!html.contains("<script") && !html.contains("src=") && !html.contains("NaN"));
        assert!(html.matches("<svg").count() >= 1 && html.contains("prefers-color-scheme:dark"));
    }
    assert!(page(&TurnReport::Telco(Box::new(telco()))).contains("&lt;on&gt;"));
}

#[test]
fn reports_round_trip_as_json() {
    let report = TurnReport::Telco(Box::new(telco()));
    let text = serde_json::to_string(&report).unwrap();
    // Floats come back to within the last bit.
    let read: TurnReport = serde_json::from_str(&text).unwrap();
    assert_eq!((markdown(&read), page(&read)), (markdown(&report), page(&report)));
}

#[test]
fn held_out_questions_are_not_asked_before() {
    let plan = Plan::of(&TurnOptions::default());
    let traffic: Vec<_> = (0..plan.requests).map(|i| item(Split::Traffic, 1, i)).collect();
    let held_out: Vec<_> = (0..plan.test).map(|i| item(Split::Test, 1, i)).collect();
    assert_eq!(datasets::shared(&traffic, &held_out), 0);
    assert_eq!(datasets::shared(&traffic, &traffic[..5]), 5);
    // Enough is checked for the larger fine-tune, whatever the split's draw.
    assert!(plan.requests * plan.checked_of_ten / 10 * 8 / 10 >= plan.many);
    let few = Plan::of(&TurnOptions { quick: true, ..TurnOptions::default() });
    assert!(few.requests * few.checked_of_ten / 10 * 8 / 10 >= few.many - 10);
}

fn quick(url: &str, out: &std::path::Path) -> TurnOptions {
    TurnOptions { url: url.into(), out: out.into(), quick: true, ..TurnOptions::default() }
}

#[tokio::test]
async fn the_whole_turn_asks_the_api_for_what_it_needs() {
    let (url, state) = fake_server::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let report = crate::run(quick(&url, folder.path())).await.unwrap();
    assert!(report.succeeded());
    let TurnReport::Telco(found) = &report else { panic!("another turn") };
    assert_eq!((found.requests, found.failed, found.checked), (160, 0, 96));
    assert!(found.corrected > 20 && found.corrected < 50, "{}", found.corrected);
    assert_eq!((found.base.value, found.regression_tuned.len()), (0.6, 1));
    assert_eq!(found.tuned_many[0].score.as_ref().unwrap().value, 0.9);
    assert!(found.curl.contains("telco-desk"));

    let state = state.lock().unwrap();
    // What was right gets a score, what was wrong also what would have been right.
    for feedback in &state.feedback {
        assert_eq!(feedback["score"] == 0.0, feedback["correction"].is_string(), "{feedback}");
    }
    let tuned: Vec<String> = state
        .fine_tunes
        .iter()
        .map(|ask| format!("{} {} {}", ask["dataset"], ask["train_rows"], ask["shuffle_labels"]))
        .collect();
    assert_eq!(tuned, ["\"telco@1\" 60 false", "\"telco@1\" 20 false", "\"telco@1\" 60 true"]);
    // Base, constant, few-shot, regression; then three adapters on the task and one on regression.
    assert_eq!(state.evaluations.len(), 8);
    assert_eq!(state.evaluations[2]["few_shot"], 3);
    assert_eq!(state.evaluations[7]["suite"]["builtin"], "regression");
    // The held-out suite holds the pool's rows for controls and every held-out question.
    assert_eq!(state.uploaded.lines().count(), 2 + 60);
    assert_eq!(state.traffic[0]["release_id"], "rel_1");
    assert_eq!(state.releases[1]["adapter"], found.released_model);
    assert_eq!(state.rollout["candidate"], "rel_2");
    assert_eq!(state.rollout["gate"], "gate_1");

    for name in ["report.json", "report.md", "report.html"] {
        assert!(folder.path().join(name).metadata().unwrap().len() > 500, "{name}");
    }
}

#[tokio::test]
async fn a_candidate_that_fails_the_gate_is_not_rolled_out() {
    let (url, state) = fake_server::start(false).await;
    let folder = tempfile::tempdir().unwrap();
    let report = crate::run(quick(&url, folder.path())).await.unwrap();
    assert!(!report.succeeded());
    let state = state.lock().unwrap();
    assert_eq!((state.releases.len(), state.rollout.is_null()), (1, true));
}

#[tokio::test]
async fn banking77_runs_on_the_published_split() {
    let (url, state) = fake_server::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("train.csv"),
        "text,category\nWhere is it?,card_arrival\nWhy?,fee\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("test.csv"), "text,category\nMy card,card_arrival\n")
        .unwrap();
    let options = TurnOptions {
        data: Some(folder.path().into()),
        tfidf: Some(0.8),
        ..quick(&url, folder.path())
    };
    let report = crate::run(TurnOptions { quick: false, ..options }).await.unwrap();
    assert!(report.succeeded());
    let TurnReport::Banking77(found) = &report else { panic!("another turn") };
    assert_eq!((found.train_rows, found.test_rows, found.curve.len()), (2, 1, 1));
    let state = state.lock().unwrap();
    assert_eq!(state.fine_tunes[0]["train_rows"], Value::Null, "all rows");
    assert!(state.uploaded.lines().last().unwrap().contains("\"split\":\"test\""));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let error = crate::run(quick("http://127.0.0.1:1", folder.path())).await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot reach http://127.0.0.1:1"), "{error:#}");
}
