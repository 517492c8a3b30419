//! What a turn found.

use crate::score::{Score, mean};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a turn found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "turn", rename_all = "snake_case")]
pub enum TurnReport {
    /// The telco desk.
    Telco(Box<TelcoReport>),
    /// Real customer queries.
    Banking77(Box<Banking77Report>),
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// Its name.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// A fine-tune and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refit {
    /// The adapter, `name@version`.
    pub model: String,
    /// The job that trained it.
    pub job_id: String,
    /// Training examples; nothing for all.
    pub rows: Option<u64>,
    /// The seed: it draws the examples and orders them.
    pub seed: u64,
    /// Whether answers were dealt out at random.
    pub shuffled: bool,
    /// Best loss on validation rows.
    pub best_val_loss: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
    /// On the held-out questions.
    pub score: Option<Score>,
    /// McNemar's exact test against the base on them.
    pub p_value: Option<f64>,
    /// Gain over the base: value, low, high of the paired bootstrap's 95 % interval.
    pub difference: Option<(f64, f64, f64)>,
}

/// The regression set with an adapter on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// The adapter.
    pub model: String,
    /// Its seed.
    pub seed: u64,
    /// Training examples.
    pub rows: Option<u64>,
    /// On the regression set.
    pub score: Score,
}

/// A point of a loss curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// The step.
    pub step: u64,
    /// Loss on training rows.
    pub train: Option<f64>,
    /// Loss on validation rows.
    pub validation: Option<f64>,
}

/// The turn on the telco desk.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TelcoReport {
    /// Whether this was a small turn, which proves little.
    pub quick: bool,
    /// The server's address, where the console is.
    pub url: String,
    /// The endpoint that applications call.
    pub endpoint: String,
    /// The base model.
    pub base_model: String,
    /// Questions asked before anything was learned.
    pub requests: u64,
    /// Questions without an answer.
    pub failed: u64,
    /// Share of the answers that were right.
    pub traffic_accuracy: f64,
    /// Answers that the application checked.
    pub checked: u64,
    /// Answers that it corrected.
    pub corrected: u64,
    /// The dataset version learned from, as the API gives it.
    pub dataset: Value,
    /// Held-out questions that customers asked too: 0.
    pub test_overlap: u64,
    /// The base on the held-out questions.
    pub base: Score,
    /// The most frequent answer for everything.
    pub constant: Score,
    /// The base with examples before each question.
    pub few_shot: Score,
    /// How many examples.
    pub shots: u64,
    /// A fine-tune on answers dealt out at random.
    pub shuffled: Vec<Refit>,
    /// Fine-tunes on few examples.
    pub tuned_few: Vec<Refit>,
    /// Fine-tunes on many.
    pub tuned_many: Vec<Refit>,
    /// The base on the regression set.
    pub regression_base: Score,
    /// The fine-tunes on many examples on the regression set.
    pub regression_tuned: Vec<Regression>,
    /// How much worse a release may be there.
    pub regression_margin: f64,
    /// The loss curve of the released fine-tune.
    pub losses: Vec<Loss>,
    /// The gate, as the API gives it.
    pub gate: Value,
    /// The rollout, as the API gives it; null when the gate did not pass.
    pub rollout: Value,
    /// The release rolled out; empty when the gate did not pass.
    pub release: String,
    /// The adapter in it, chosen by validation loss.
    pub released_model: String,
    /// A shell command that talks to the endpoint.
    pub curl: String,
    /// What each step took.
    pub steps: Vec<StepTime>,
    /// Minutes in all.
    pub minutes: f64,
}

/// A point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Training examples.
    pub rows: u64,
    /// The fine-tune.
    pub refit: Refit,
}

/// The turn on banking77.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Banking77Report {
    /// Whether this was a small turn, which proves little.
    pub quick: bool,
    /// The server's address.
    pub url: String,
    /// The base model.
    pub base_model: String,
    /// Published training queries.
    pub train_rows: u64,
    /// Published test queries.
    pub test_rows: u64,
    /// The base.
    pub base: Score,
    /// The most frequent intent for everything.
    pub constant: Score,
    /// Fine-tunes, by number of examples.
    pub curve: Vec<CurvePoint>,
    /// Accuracy of TF-IDF with logistic regression, where it was given.
    pub tfidf: Option<f64>,
    /// Minutes of training on all examples.
    pub train_minutes: f64,
    /// What each step took.
    pub steps: Vec<StepTime>,
    /// Minutes in all.
    pub minutes: f64,
}

impl TelcoReport {
    /// Whether the candidate took over.
    #[must_use]
    pub fn promoted(&self) -> bool {
        self.rollout["state"] == "promoted"
    }

    /// The largest p-value of the fine-tunes on many examples: what holds for all seeds.
    #[must_use]
    pub fn worst_p_value(&self) -> f64 {
        let values: Vec<f64> = self.tuned_many.iter().filter_map(|refit| refit.p_value).collect();
        if values.is_empty() { 1.0 } else { values.into_iter().fold(0.0, f64::max) }
    }

    /// Mean fall on the regression set over seeds, as a share; negative when it rose.
    #[must_use]
    pub fn regression_drop(&self) -> f64 {
        self.regression_base.value - mean(self.regression_tuned.iter().map(|entry| &entry.score))
    }
}

/// The scores of fine-tunes.
pub(crate) fn scores(refits: &[Refit]) -> impl Iterator<Item = &Score> + Clone {
    refits.iter().filter_map(|refit| refit.score.as_ref())
}

impl TurnReport {
    /// Whether the turn did what it is for: the candidate was promoted, or the tuned model beats the
    /// base.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        match self {
            Self::Telco(report) => report.promoted(),
            Self::Banking77(report) => report
                .curve
                .last()
                .and_then(|point| point.refit.score.as_ref())
                .is_some_and(|score| score.value > report.base.value),
        }
    }

    /// The numbers that benchmarks watch, by name.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<String, f64> {
        let pairs = match self {
            Self::Telco(report) => vec![
                ("telco_base_accuracy", report.base.value),
                ("telco_tuned_accuracy_50", mean(scores(&report.tuned_few))),
                ("telco_tuned_accuracy_500", mean(scores(&report.tuned_many))),
                ("telco_p_value_500", report.worst_p_value()),
                ("regression_drop", report.regression_drop()),
                ("shuffled_control_gain", mean(scores(&report.shuffled)) - report.base.value),
                ("turn_minutes", report.minutes),
            ],
            Self::Banking77(report) => {
                let last = report.curve.last().and_then(|point| point.refit.score.as_ref());
                let mut pairs = vec![
                    ("banking77_base_accuracy", report.base.value),
                    ("banking77_tuned_accuracy", last.map_or(0.0, |score| score.value)),
                    ("banking77_train_minutes", report.train_minutes),
                ];
                pairs.extend(report.tfidf.map(|value| ("banking77_tfidf_accuracy", value)));
                pairs
            }
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(crate) fn set_times(&mut self, (steps, seconds): (Vec<StepTime>, f64)) {
        let minutes = seconds / 60.0;
        match self {
            Self::Telco(report) => (report.steps, report.minutes) = (steps, minutes),
            Self::Banking77(report) => (report.steps, report.minutes) = (steps, minutes),
        }
    }
}
