//! The turn on the telco desk: ask → correct → curate → tune → evaluate → gate → roll out.

use crate::ask::{Asked, ask_all};
use crate::evaluations::{Order, adapted, base};
use crate::fine_tunes::Order as Fit;
use crate::options::{Plan, TurnOptions};
use crate::report::{Refit, Regression, TelcoReport};
use crate::score::Score;
use crate::steps::Steps;
use crate::telco::{Item, Split, item};
use crate::{datasets, evaluations, fine_tunes, release};
use anyhow::{Context as _, bail};
use pelton_client::{Client, ClientError};
use serde_json::{Value, json};

/// What applications call.
const ENDPOINT: &str = "telco-desk";
/// How much worse a release may be on the regression set.
const MARGIN: f64 = 0.05;
/// Rows of the pool that go beside the held-out questions, for the controls.
const CONTROL_ROWS: usize = 200;

/// Runs the whole turn.
pub(crate) async fn run(
    client: &Client,
    options: &TurnOptions,
    steps: &mut Steps,
) -> anyhow::Result<TelcoReport> {
    let plan = Plan::of(options);
    let mut report = TelcoReport {
        quick: options.quick,
        url: client.base().to_owned(),
        endpoint: ENDPOINT.into(),
        base_model: options.base_ref().into(),
        shots: plan.shots,
        regression_margin: MARGIN,
        rollout: Value::Null,
        ..TelcoReport::default()
    };
    let run = number(client).await?;

    steps.begin("put the base model behind the endpoint");
    release::clear(client, ENDPOINT).await?;
    let name = format!("telco-desk-{run}-base");
    let first = release::create(client, &name, options.base_ref(), None, None).await?;
    let first = first["id"].as_str().context("the release has no id")?.to_owned();
    release::point(client, ENDPOINT, &first).await?;

    steps.begin("customers ask, the application corrects");
    let traffic: Vec<Item> = (0..plan.requests).map(|i| item(Split::Traffic, 1, i)).collect();
    let held_out: Vec<Item> = (0..plan.test).map(|i| item(Split::Test, 1, i)).collect();
    report.test_overlap = datasets::shared(&traffic, &held_out) as u64;
    let checked = |place: usize| (place as u64 % 10) < plan.checked_of_ten;
    let asked = ask_all(client, ENDPOINT, traffic, checked, steps).await?;
    note_traffic(&mut report, plan.requests, asked);
    steps.note(&format!(
        "{} of {} answers are right; {} checked, {} corrected",
        asked.right, asked.answered, asked.checked, asked.corrected
    ));

    steps.begin("build the dataset from corrected traffic");
    let pool = pool(client, &first, steps).await?;
    let pool_name = pool["name"].as_str().context("the dataset version has no name")?.to_owned();
    let train = pool["rows"]["train"].as_u64().unwrap_or(0);
    if train < plan.many {
        bail!("the dataset {pool_name} has {train} training rows, {} are needed", plan.many);
    }
    report.dataset = pool;
    let suite = held_out_suite(client, &pool_name, &held_out, steps).await?;

    steps.begin("evaluate the base and the controls");
    let regression = json!({ "builtin": "regression", "limit": plan.regression });
    evaluate_base(client, options, &plan, &suite, &regression, &mut report, steps).await?;
    steps.note(&format!("the base is right on {:.1} %", report.base.value * 100.0));

    steps.begin("fine-tune");
    tune(client, options, &plan, &pool_name, &mut report, steps).await?;

    steps.begin("evaluate the fine-tuned models");
    evaluate_tuned(client, options, &suite, &regression, &mut report, steps).await?;

    steps.begin("decide at the gate");
    let chosen = chosen(&report)?.clone();
    report.released_model.clone_from(&chosen.model);
    report.losses = fine_tunes::losses(client, &chosen.job_id).await?;
    report.gate = gate(client, &report, &chosen).await?;
    note_gate(&report.gate, steps);
    if report.gate["passed"] != true {
        return Ok(report);
    }

    steps.begin("roll the release out under live traffic");
    let gate_id = report.gate["id"].as_str().context("the gate has no id")?.to_owned();
    let name = format!("telco-desk-{run}-tuned");
    let second =
        release::create(client, &name, options.base_ref(), Some(&chosen.model), Some(&gate_id))
            .await?;
    let second = second["id"].as_str().context("the release has no id")?.to_owned();
    report.release = name;
    report.rollout = release::roll_out(client, ENDPOINT, &second, &gate_id, &plan, steps).await?;
    report.curl = curl(client, &held_out);
    Ok(report)
}

/// Which turn this is on this server: names of releases do not repeat.
async fn number(client: &Client) -> anyhow::Result<u64> {
    match client.get::<Value>("/api/v1/datasets/telco").await {
        Ok(dataset) => {
            Ok(dataset["versions"].as_u64().unwrap_or(0) + 1 + leftovers(client).await?)
        }
        Err(ClientError::Refused { status: 404, .. }) => Ok(1 + leftovers(client).await?),
        Err(error) => Err(error.into()),
    }
}

/// Releases of turns that stopped before they built a dataset.
async fn leftovers(client: &Client) -> anyhow::Result<u64> {
    let releases: Value = client.get("/api/v1/releases?limit=200").await?;
    let names = releases["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|release| release["name"].as_str())
        .filter(|name| name.starts_with("telco-desk-"))
        .count() as u64)
}

fn note_traffic(report: &mut TelcoReport, requests: u64, asked: Asked) {
    let Asked { answered, failed, right, checked, corrected } = asked;
    report.requests = requests;
    report.failed = failed;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand questions")]
    let accuracy = right as f64 / answered.max(1) as f64;
    report.traffic_accuracy = accuracy;
    report.checked = checked;
    report.corrected = corrected;
}

/// Learned from: this turn's judged traffic, with corrections over answers.
async fn pool(client: &Client, release: &str, steps: &mut Steps) -> anyhow::Result<Value> {
    let request = json!({
        "source": { "kind": "traces", "filter": { "release": release, "has_feedback": true } },
        "use_corrections": true,
        "only_judged": true,
        "scrub": ["email", "phone", "card"],
        "exact_dedup": true,
        "near_dedup": null,
        "split": { "train": 0.9, "validation": 0.1, "test": 0.0, "seed": 7, "stratify": true },
    });
    datasets::build(client, "telco", &request, steps).await
}

/// The held-out questions, and beside them some of the pool for the controls.
async fn held_out_suite(
    client: &Client,
    pool: &str,
    held_out: &[Item],
    steps: &mut Steps,
) -> anyhow::Result<Value> {
    let rows = datasets::rows(client, pool, "train", CONTROL_ROWS).await?;
    let mut lines: Vec<Value> = rows.iter().map(datasets::train_row).collect();
    lines.extend(held_out.iter().map(datasets::test_row));
    let built = datasets::upload(client, "telco-held-out", &lines, steps).await?;
    Ok(json!({ "dataset": built["name"], "split": "test" }))
}

async fn evaluate_base(
    client: &Client,
    options: &TurnOptions,
    plan: &Plan,
    suite: &Value,
    regression: &Value,
    report: &mut TelcoReport,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let model = options.base_ref();
    let few_shot =
        Order { few_shot: plan.shots, ..Order::new("telco: base, few-shot", base(model), suite) };
    let orders = [
        Order::new("telco: base", base(model), suite),
        Order::new("telco: constant answer", json!({ "constant": true }), suite),
        few_shot,
        Order::new("regression: base", base(model), regression),
    ];
    let mut scores = evaluations::run_all(client, &orders, steps).await?.into_iter();
    for field in
        [&mut report.base, &mut report.constant, &mut report.few_shot, &mut report.regression_base]
    {
        *field = scores.next().context("an evaluation is missing")?;
    }
    Ok(())
}

async fn tune(
    client: &Client,
    options: &TurnOptions,
    plan: &Plan,
    pool: &str,
    report: &mut TelcoReport,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let fit = |name: &str, rows, seed, shuffled| Fit {
        name: name.into(),
        dataset: pool.into(),
        rows: Some(rows),
        seed,
        shuffled,
    };
    let mut orders = Vec::new();
    for seed in 1..=plan.seeds {
        orders.push(fit("telco-desk", plan.many, seed, false));
        orders.push(fit("telco-desk-few", plan.few, seed, false));
    }
    orders.push(fit("telco-desk-shuffled", plan.many, 1, true));
    for refit in fine_tunes::run_all(client, options, &orders, steps).await? {
        if refit.shuffled {
            report.shuffled.push(refit);
        } else if refit.rows == Some(plan.few) {
            report.tuned_few.push(refit);
        } else {
            report.tuned_many.push(refit);
        }
    }
    Ok(())
}

async fn evaluate_tuned(
    client: &Client,
    options: &TurnOptions,
    suite: &Value,
    regression: &Value,
    report: &mut TelcoReport,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let model = options.base_ref();
    let mut orders = Vec::new();
    let tuned: Vec<&Refit> =
        report.tuned_many.iter().chain(&report.tuned_few).chain(&report.shuffled).collect();
    for refit in &tuned {
        let name = format!("telco: {}", refit.model);
        orders.push(Order::new(name, adapted(model, &refit.model), suite));
    }
    for refit in &report.tuned_many {
        let name = format!("regression: {}", refit.model);
        orders.push(Order::new(name, adapted(model, &refit.model), regression));
    }
    let (on_task, on_regression) = (tuned.len(), report.tuned_many.len());
    let scores = evaluations::run_all(client, &orders, steps).await?;
    let mut scores = scores.into_iter();
    let task: Vec<Score> = scores.by_ref().take(on_task).collect();
    let kept: Vec<Score> = scores.take(on_regression).collect();
    let refits =
        report.tuned_many.iter_mut().chain(&mut report.tuned_few).chain(&mut report.shuffled);
    for (refit, score) in refits.zip(task) {
        let found = evaluations::compare(client, &report.base, &score).await?;
        refit.p_value = found["mcnemar"]["p_value"].as_f64();
        let side = |name: &str| found["difference"][name].as_f64();
        refit.difference =
            side("value").zip(side("low")).zip(side("high")).map(|((v, l), h)| (v, l, h));
        refit.score = Some(score);
    }
    report.regression_tuned = report
        .tuned_many
        .iter()
        .zip(kept)
        .map(|(refit, score)| Regression {
            model: refit.model.clone(),
            seed: refit.seed,
            rows: refit.rows,
            score,
        })
        .collect();
    Ok(())
}

/// The fine-tune to release: the least validation loss, which is no look at the test.
fn chosen(report: &TelcoReport) -> anyhow::Result<&Refit> {
    let loss = |refit: &Refit| refit.best_val_loss.unwrap_or(f64::INFINITY);
    let least = report.tuned_many.iter().min_by(|a, b| loss(a).total_cmp(&loss(b)));
    least.context("no fine-tune to release")
}

async fn gate(client: &Client, report: &TelcoReport, chosen: &Refit) -> anyhow::Result<Value> {
    let task = chosen.score.as_ref().context("the candidate was not evaluated")?;
    let kept = report
        .regression_tuned
        .iter()
        .find(|entry| entry.model == chosen.model)
        .context("the candidate's regression set was not evaluated")?;
    let request = json!({
        "task": {
            "baseline": report.base.evaluation_id, "candidate": task.evaluation_id,
            "alpha": 0.05, "min_gain": 0.0,
        },
        "regression": {
            "baseline": report.regression_base.evaluation_id,
            "candidate": kept.score.evaluation_id,
            "margin": MARGIN,
        },
    });
    Ok(client.post("/api/v1/gates", &request).await?)
}

fn note_gate(gate: &Value, steps: &Steps) {
    for rule in gate["rules"].as_array().into_iter().flatten() {
        let mark = if rule["passed"] == true { "passed" } else { "failed" };
        let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
        steps.note(&format!("{mark} {}: {}", text("name"), text("detail")));
    }
}

/// A command that asks the new release a held-out question.
fn curl(client: &Client, held_out: &[Item]) -> String {
    let Some(item) = held_out.iter().find(|item| item.target.is_some()) else {
        return String::new();
    };
    let body = json!({ "model": ENDPOINT, "messages": crate::ask::messages(item) });
    let body = body.to_string().replace('\'', "'\\''");
    format!(
        "curl -s {}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
        client.base()
    )
}
