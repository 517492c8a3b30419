//! The learning rate over a run, as a share of its peak.

use crate::config::{Decay, Schedule};

/// The share of the peak at a step (from zero) when `done` of the run, in `[0, 1]`, is behind.
pub(crate) fn rate_share(schedule: &Schedule, step: u64, done: f64) -> f64 {
    let warmup = if schedule.warmup_steps > 0 {
        ((step + 1) as f64 / schedule.warmup_steps as f64).min(1.0)
    } else {
        1.0
    };
    let decayed = ((done - schedule.hold) / (1.0 - schedule.hold)).clamp(0.0, 1.0);
    warmup
        * match schedule.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - decayed,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * decayed).cos()),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Schedule { warmup_steps: 4, decay: Decay::Linear, hold: 0.5 };
        let at = |step, done| (rate_share(&schedule, step, done) * 1000.0).round() / 1000.0;
        assert_eq!([at(0, 0.0), at(3, 0.0), at(50, 0.5), at(75, 0.75)], [0.25, 1.0, 1.0, 0.5]);
        let cosine = Schedule { warmup_steps: 0, decay: Decay::Cosine, hold: 0.0 };
        assert!((rate_share(&cosine, 5, 0.5) - 0.5).abs() < 1e-12);
        let constant = Schedule { decay: Decay::Constant, ..cosine };
        assert!((rate_share(&constant, 5, 1.0) - 1.0).abs() < 1e-12);
    }
}
