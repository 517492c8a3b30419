//! The turn on real customer queries: the published split, a learning curve, a classic reference.

use crate::banking77::{Query, SYSTEM, read};
use crate::evaluations::{Order, adapted, base};
use crate::fine_tunes::Order as Fit;
use crate::options::TurnOptions;
use crate::report::{Banking77Report, CurvePoint};
use crate::steps::Steps;
use crate::{datasets, evaluations, fine_tunes};
use anyhow::Context as _;
use pelton_client::Client;
use serde_json::{Value, json};
use std::path::Path;

/// Training examples of the learning curve; all come last.
const SIZES: [u64; 3] = [50, 500, 5_000];
/// Test queries of a small turn.
const QUICK_TEST: u64 = 100;

/// Runs the whole turn.
pub(crate) async fn run(
    client: &Client,
    options: &TurnOptions,
    folder: &Path,
    steps: &mut Steps,
) -> anyhow::Result<Banking77Report> {
    steps.begin("read and upload banking77");
    let data = read(folder)?;
    let mut lines: Vec<Value> = data.train.iter().map(|query| row(query, "train")).collect();
    lines.extend(data.test.iter().map(|query| row(query, "test")));
    let built = datasets::upload(client, "banking77", &lines, steps).await?;
    let dataset = built["name"].as_str().context("the dataset version has no name")?;
    let limit = options.quick.then_some(QUICK_TEST);
    let suite = json!({ "dataset": dataset, "split": "test", "limit": limit });
    let mut report = Banking77Report {
        quick: options.quick,
        url: client.base().to_owned(),
        base_model: options.base_ref().into(),
        train_rows: data.train.len() as u64,
        test_rows: data.test.len() as u64,
        tfidf: options.tfidf,
        ..Banking77Report::default()
    };

    steps.begin("evaluate the base");
    let model = options.base_ref();
    let orders = [
        Order::new("banking77: base", base(model), &suite),
        Order::new("banking77: constant answer", json!({ "constant": true }), &suite),
    ];
    let mut scores = evaluations::run_all(client, &orders, steps).await?.into_iter();
    report.base = scores.next().context("an evaluation is missing")?;
    report.constant = scores.next().context("an evaluation is missing")?;

    for rows in sizes(options, report.train_rows) {
        steps.begin(&format!("fine-tune on {rows} examples and evaluate"));
        let point = point(client, options, dataset, &suite, rows, &report, steps).await?;
        if let Some(score) = &point.refit.score {
            steps.note(&format!(
                "{rows} examples: {:.1} % in {:.1} minutes of training",
                score.value * 100.0,
                point.refit.seconds / 60.0
            ));
        }
        report.train_minutes = point.refit.seconds / 60.0;
        report.curve.push(point);
    }
    Ok(report)
}

fn sizes(options: &TurnOptions, all: u64) -> Vec<u64> {
    if options.quick {
        return vec![SIZES[0].min(all)];
    }
    SIZES.into_iter().filter(|&rows| rows < all).chain([all]).collect()
}

async fn point(
    client: &Client,
    options: &TurnOptions,
    dataset: &str,
    suite: &Value,
    rows: u64,
    report: &Banking77Report,
    steps: &mut Steps,
) -> anyhow::Result<CurvePoint> {
    let fit = Fit {
        name: "banking77".into(),
        dataset: dataset.into(),
        rows: (rows < report.train_rows).then_some(rows),
        seed: 1,
        shuffled: false,
    };
    let refits = fine_tunes::run_all(client, options, &[fit], steps).await?;
    let mut refit = refits.into_iter().next().context("the fine-tune is missing")?;
    let target = adapted(options.base_ref(), &refit.model);
    let order = Order::new(format!("banking77: {rows} examples"), target, suite);
    let scores = evaluations::run_all(client, &[order], steps).await?;
    let score = scores.into_iter().next().context("the evaluation is missing")?;
    let found = evaluations::compare(client, &report.base, &score).await?;
    refit.p_value = found["mcnemar"]["p_value"].as_f64();
    refit.score = Some(score);
    Ok(CurvePoint { rows, refit })
}

/// A query as an uploaded row; the answer is the intent's name.
fn row(query: &Query, split: &str) -> Value {
    json!({
        "messages": [
            { "role": "system", "content": SYSTEM },
            { "role": "user", "content": query.text },
        ],
        "answer": query.intent, "label": query.intent, "split": split,
    })
}
