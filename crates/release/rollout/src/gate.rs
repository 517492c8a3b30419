//! The gate: may this candidate roll out, by its evaluations?

use crate::guard::{p_text, percent, points};
use pelton_statistics::{mcnemar, non_inferiority};
use serde::{Deserialize, Serialize};

/// Two evaluations of the same items. Items without an answer count as wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// Items in both.
    pub n: u64,
    /// Items that the baseline got right.
    pub baseline_correct: u64,
    /// Items that only the baseline got right.
    pub only_baseline: u64,
    /// Items that only the candidate got right.
    pub only_candidate: u64,
}

impl Pairing {
    #[expect(clippy::cast_precision_loss, reason = "numbers of items stay far below 2^53")]
    fn share(&self, items: u64) -> f64 {
        items as f64 / self.n.max(1) as f64
    }

    fn baseline(&self) -> f64 {
        self.share(self.baseline_correct)
    }

    fn gain(&self) -> f64 {
        self.share(self.only_candidate) - self.share(self.only_baseline)
    }
}

/// The regression set and its margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegressionPairing {
    /// Both evaluations.
    pub pairing: Pairing,
    /// How much worse the candidate may be, as a share.
    pub margin: f64,
}

/// What the gate asks on the task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateConfig {
    /// Level of each test.
    pub alpha: f64,
    /// Least gain on the task, as a share.
    pub min_gain: f64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { alpha: 0.05, min_gain: 0.0 }
    }
}

/// One rule's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRule {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// The numbers in words.
    pub detail: String,
}

/// The gate's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateDecision {
    /// Whether all rules hold.
    pub passed: bool,
    /// Every rule with its numbers.
    pub rules: Vec<GateRule>,
}

/// Decides: better on the task (McNemar, exact), by at least the gain asked for, and on the
/// regression set no worse than its margin (non-inferiority by Tango's score test).
#[must_use]
pub fn gate(
    task: &Pairing,
    regression: Option<&RegressionPairing>,
    config: &GateConfig,
) -> GateDecision {
    let mut rules = vec![task_better(task, config), task_gain(task, config)];
    rules.extend(regression.map(|regression| regression_kept(regression, config)));
    GateDecision { passed: rules.iter().all(|rule| rule.passed), rules }
}

fn scores(pairing: &Pairing) -> String {
    let baseline = pairing.baseline();
    format!(
        "{} to {} on {} items",
        percent(baseline),
        percent(baseline + pairing.gain()),
        pairing.n
    )
}

fn task_better(task: &Pairing, config: &GateConfig) -> GateRule {
    let test = mcnemar(task.only_baseline, task.only_candidate);
    let detail = format!(
        "{}; the candidate alone is right on {}, the baseline alone on {} (p = {}, level {})",
        scores(task),
        task.only_candidate,
        task.only_baseline,
        p_text(test.p_value),
        config.alpha
    );
    let passed = task.only_candidate > task.only_baseline && test.p_value < config.alpha;
    GateRule { name: "task_better".into(), passed, detail }
}

fn task_gain(task: &Pairing, config: &GateConfig) -> GateRule {
    let detail = format!(
        "gains {}, at least {} are asked for",
        points(task.gain()),
        points(config.min_gain)
    );
    let passed = task.n > 0 && task.gain() >= config.min_gain;
    GateRule { name: "task_gain".into(), passed, detail }
}

fn regression_kept(regression: &RegressionPairing, config: &GateConfig) -> GateRule {
    let RegressionPairing { pairing, margin } = regression;
    let test = non_inferiority(
        pairing.only_baseline,
        pairing.only_candidate,
        pairing.n,
        *margin,
        config.alpha,
    );
    let detail = format!(
        "{}; with {:.0} % confidence the change is above {}, {} less is allowed (p = {})",
        scores(pairing),
        (1.0 - config.alpha) * 100.0,
        points(test.difference.low),
        points(*margin),
        p_text(test.p_value)
    );
    GateRule { name: "regression_kept".into(), passed: test.passed, detail }
}
