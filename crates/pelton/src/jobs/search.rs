//! Searches hyperparameters: trains adapters with different ones on the same rows, within a budget, and publishes
//! the one with the least validation loss. Goes on after a kill as if there had been none.

mod charts;
mod journal;
mod plan;
mod report;
mod space;
mod trials;

use self::journal::{Journal, drop_checkpoints};
use self::plan::{Lengths, Plan};
use self::report::SearchReport;
use self::space::{Choices, Range};
use self::trials::{Limits, Trials};
use super::finetune::{self, Fetched, Loaded, Prepared, Rows, preflight};
use super::report::{JobFailure, Report};
use crate::job_command::Task;
use anyhow::Context as _;
use pelton_datasets::{Split, pick};
use pelton_finetune::{BasePrecision, FinetuneSpec, Targets};
use pelton_trainer::{TrainOutcome, estimate, operations_per_second};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Deserialize)]
pub struct Spec {
    name: String,
    base: String,
    dataset: String,
    #[serde(default)]
    method: Method,
    trials: Option<usize>,
    budget_minutes: Option<f64>,
    budget_tokens: Option<u64>,
    #[serde(default)]
    base_precision: BasePrecision,
    train_rows: Option<u64>,
    seed: u64,
    rehearsal: Option<f64>,
    kl_to_base: Option<f64>,
    learning_rate: Option<Range>,
    rank: Option<Range>,
    epochs: Option<Range>,
    batch_tokens: Option<Range>,
    targets: Option<Vec<Targets>>,
}

#[derive(Deserialize, Serialize, Default, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Method {
    Random,
    #[default]
    Halving,
    Tpe,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Random => "random search",
            Self::Halving => "successive halving",
            Self::Tpe => "tree-structured Parzen estimator",
        }
    }
}

/// Share of the training rows that is held out where the dataset has no validation rows.
const HELD_OUT: f64 = 0.1;
/// Keeps that choice apart from others by the same seed.
const HELD_OUT_SEED: u64 = 0x5e1d_0075;

/// What trials are judged on.
struct Judges {
    examples: usize,
    source: &'static str,
}

pub async fn run(task: Task) -> anyhow::Result<Value> {
    let spec: Spec = serde_json::from_value(task.spec.clone()).context("the job's spec")?;
    let choices = Choices::new(&spec)?;
    task.report.progress(0, None, "tokens", "fetching base and rows");
    let base = finetune::fetch_model(&task.client, &spec.base, &task.folder.join("base")).await?;
    let rows = finetune::fetch_rows(&task.client, &choices.largest()).await?;
    let (rows, judges) = hold_out(&spec, rows)?;
    let fetched = Fetched { base, teacher: None, rows };
    let (folder, threads, report) = (task.folder.clone(), task.threads, task.report);
    // Training computes for minutes: it has a thread of its own, so that the rest stays awake.
    let found = tokio::task::spawn_blocking(move || {
        search(&spec, &choices, &fetched, &judges, &folder, threads, report)
    })
    .await??;
    let Found { outcome, card, mut result } = found;
    result["model"] = json!(finetune::publish(&task, &card, &outcome).await?);
    Ok(result)
}

/// The rows of the request, with some for validation: the dataset's own, or else the same tenth whatever the trial.
fn hold_out(spec: &Spec, rows: Rows) -> anyhow::Result<(Rows, Judges)> {
    let Rows::Answers { train, validation } = rows else {
        anyhow::bail!("a search learns from a dataset");
    };
    let asked =
        FinetuneSpec { train_rows: spec.train_rows, seed: spec.seed, ..FinetuneSpec::default() };
    let train = finetune::chosen(&asked, &train)?;
    if !validation.is_empty() {
        let judges = Judges { examples: validation.len(), source: "the dataset's validation rows" };
        return Ok((Rows::Answers { train, validation }, judges));
    }
    if train.len() < 2 {
        let message = format!("{} training rows, and none for validation", train.len());
        return Err(JobFailure::input(message, "Build a dataset of more rows.").into());
    }
    let count = (train.len() as f64 * HELD_OUT).ceil() as usize;
    let held: BTreeSet<u64> = pick(&train, Split::Train, Some(count), spec.seed ^ HELD_OUT_SEED)
        .into_iter()
        .map(|row| row.index)
        .collect();
    let (validation, train): (Vec<_>, Vec<_>) =
        train.into_iter().partition(|row| held.contains(&row.index));
    let judges = Judges { examples: validation.len(), source: "held out of the training rows" };
    Ok((Rows::Answers { train, validation }, judges))
}

struct Found {
    outcome: TrainOutcome,
    card: String,
    result: Value,
}

fn search(
    spec: &Spec,
    choices: &Choices,
    fetched: &Fetched,
    judges: &Judges,
    folder: &Path,
    threads: usize,
    report: Report,
) -> anyhow::Result<Found> {
    let mut journal = Journal::open(folder)?;
    let limits = Limits::start(spec.budget_minutes, journal.seconds);
    let largest = choices.largest();
    let mut prepared = finetune::prepare(&largest, fetched, threads)?;
    report.info(&prepared.describe(&largest));
    let quantized = spec.base_precision == BasePrecision::Q8_0;
    let Prepared { model, data, config, .. } = &mut prepared;
    preflight::check(report, model, quantized, data, config, 0)?;
    let speed = seconds_per_token(&prepared, quantized)?;
    let lengths = Lengths::new(&prepared, choices);
    let plan = Plan::new(spec, choices, &lengths, speed, &mut journal)?;
    journal.save(folder)?;
    report.info(&plan.describe(&journal));
    let base = Loaded::load(&fetched.base, spec.base_precision)?;
    let trials = Trials {
        base: base.base(),
        data: &prepared.data,
        lengths: &lengths,
        plan: &plan,
        limits,
        folder,
        report,
    };
    while let Some(part) = plan.next(&mut journal, limits.are_reached()) {
        journal.save(folder)?;
        drop_checkpoints(folder, &plan.kept(&journal, part.trial));
        trials.advance(&mut journal, part)?;
    }
    journal.save(folder)?;
    let Some(best) = journal.best() else {
        return Err(without_a_result(&journal, &plan).into());
    };
    let mut outcome = trials.outcome(&journal, best)?;
    outcome.name_base(&spec.base);
    let output = folder.join("output");
    outcome.save(&output)?;
    let told = SearchReport { spec, choices, journal: &journal, judges, threads, best };
    told.save(&output)?;
    let card = finetune::card(&choices.run(&journal.trials[best].point), &outcome);
    Ok(Found { outcome, card: format!("{card}\n{}", told.markdown()), result: told.result() })
}

/// Why there is no adapter.
fn without_a_result(journal: &Journal, plan: &Plan<'_>) -> JobFailure {
    if journal.trials.is_empty() {
        return plan.too_small();
    }
    if journal.trials.iter().all(|trial| trial.state == journal::State::Diverged) {
        let message = format!("the loss of all {} trials was not a number", journal.trials.len());
        return JobFailure::input(message, "Search lower learning rates.");
    }
    let message = "the time was up before any trial was validated";
    JobFailure::input(message, "Give more minutes, fewer rows or fewer epochs.")
}

/// What the dearest run takes for a token, about.
fn seconds_per_token(prepared: &Prepared, quantized: bool) -> anyhow::Result<f64> {
    let Prepared { model, data, config, .. } = prepared;
    let estimate = estimate(model, quantized, data, config).map_err(finetune::failure)?;
    let seconds = estimate.seconds(operations_per_second(config.threads));
    Ok(seconds / (estimate.tokens.max(1) as f64))
}
