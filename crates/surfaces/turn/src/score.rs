//! A share right with its interval, as the API gives it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An evaluation's headline.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// The evaluation, for the API.
    pub evaluation_id: String,
    /// Share right; items without an answer count as wrong.
    pub value: f64,
    /// Lower bound of the 95 % interval.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Items.
    pub n: u64,
    /// Items without an answer.
    pub unscored: u64,
    /// Macro-averaged F1, where the answers are classes.
    pub macro_f1: Option<f64>,
}

impl Score {
    /// From an evaluation as the API gives it.
    pub(crate) fn read(evaluation: &Value) -> Self {
        let exact = &evaluation["exact_match"];
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        Self {
            evaluation_id: evaluation["id"].as_str().unwrap_or_default().to_owned(),
            value: number(&exact["value"]),
            low: number(&exact["low"]),
            high: number(&exact["high"]),
            n: evaluation["n"].as_u64().unwrap_or(0),
            unscored: evaluation["unscored"].as_u64().unwrap_or(0),
            macro_f1: evaluation["macro_f1"]["value"].as_f64(),
        }
    }
}

/// The mean of the scores' values, 0 of none.
#[expect(clippy::cast_precision_loss, reason = "a few seeds")]
pub(crate) fn mean<'a>(scores: impl Iterator<Item = &'a Score>) -> f64 {
    let values: Vec<f64> = scores.map(|score| score.value).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation over seeds, 0 of fewer than two.
#[expect(clippy::cast_precision_loss, reason = "a few seeds")]
pub(crate) fn deviation<'a>(scores: impl Iterator<Item = &'a Score> + Clone) -> f64 {
    let middle = mean(scores.clone());
    let squares: Vec<f64> = scores.map(|score| (score.value - middle).powi(2)).collect();
    if squares.len() < 2 {
        return 0.0;
    }
    (squares.iter().sum::<f64>() / (squares.len() - 1) as f64).sqrt()
}
