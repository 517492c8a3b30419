//! The guards: is the candidate surely worse than allowed, or does it only look so?

use crate::config::RolloutConfig;
use crate::observed::Observed;
use pelton_statistics::{drop_p_value, increase_p_value};

/// What the guards watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The error rate.
    Errors,
    /// The mean feedback score.
    Feedback,
}

/// A guard that has something to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Which one.
    pub guard: Guard,
    /// Whether the evidence suffices to roll back; otherwise the candidate only looks worse.
    pub certain: bool,
    /// The numbers in words.
    pub detail: String,
}

/// The guards that complain, certain ones first.
///
/// Both tests are anytime-valid (see `pelton_statistics::increase_p_value`), so that polling does
/// not raise false alarms; each takes half of alpha.
#[must_use]
pub fn guard(config: &RolloutConfig, observed: &Observed) -> Vec<Alarm> {
    let level = config.alpha / 2.0;
    let Observed { baseline, candidate } = observed;
    let mut alarms = Vec::new();
    if baseline.requests > 0 && candidate.requests > 0 {
        let (before, after) = (baseline.failures(), candidate.failures());
        let allowed = config.max_error_rate_increase;
        let p = increase_p_value(before, after, allowed);
        if after.mean() - before.mean() > allowed {
            alarms.push(Alarm {
                guard: Guard::Errors,
                certain: p < level,
                detail: format!(
                    "the candidate fails {} of its requests and the baseline {}; {} more are allowed (p = {})",
                    percent(after.mean()),
                    percent(before.mean()),
                    points(allowed),
                    p_text(p)
                ),
            });
        }
    }
    let enough = config.min_feedback.max(1);
    if baseline.scores >= enough && candidate.scores >= enough {
        let (before, after) = (baseline.feedback(), candidate.feedback());
        let allowed = config.max_feedback_drop;
        let p = drop_p_value(before, after, allowed);
        if before.mean() - after.mean() > allowed {
            alarms.push(Alarm {
                guard: Guard::Feedback,
                certain: p < level,
                detail: format!(
                    "the candidate's mean score is {:.3} and the baseline's {:.3}; a drop of {allowed} is allowed (p = {})",
                    after.mean(),
                    before.mean(),
                    p_text(p)
                ),
            });
        }
    }
    alarms.sort_by_key(|alarm| !alarm.certain);
    alarms
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(crate) fn points(share: f64) -> String {
    format!("{:.1} points", share * 100.0)
}

pub(crate) fn p_text(p: f64) -> String {
    if p < 1e-4 { format!("{p:.1e}") } else { format!("{p:.4}") }
}
