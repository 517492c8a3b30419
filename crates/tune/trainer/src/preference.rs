//! Direct preference optimization (Rafailov and others 2023, "Your Language Model is Secretly a Reward
//! Model"): `−log σ(r_chosen − r_rejected)` with the rewards `r = β (log π(answer) − log π_base(answer))`,
//! each logarithm a sum over the answer's tokens.

use std::ops::Range;

/// The rows of a pair's answers among the rows of a micro-batch that have a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub chosen: Range<usize>,
    pub rejected: Range<usize>,
}

/// One pair's rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PairLoss {
    pub chosen: f64,
    pub rejected: f64,
}

impl PairLoss {
    pub fn new(chosen: f64, rejected: f64) -> Self {
        Self { chosen, rejected }
    }

    pub fn margin(self) -> f64 {
        self.chosen - self.rejected
    }

    /// `log(1 + e^{−margin})`, without overflow.
    pub fn value(self) -> f64 {
        let margin = self.margin();
        (-margin.abs()).exp().ln_1p() + (-margin).max(0.0)
    }

    /// How much the loss falls for a larger margin: `σ(−margin)`.
    pub fn slope(self) -> f64 {
        let margin = self.margin();
        if margin >= 0.0 {
            let small = (-margin).exp();
            small / (1.0 + small)
        } else {
            1.0 / (1.0 + margin.exp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_the_derivative_at_any_margin() {
        for margin in [-30.0, -2.0, -0.1, 0.0, 0.3, 4.0, 25.0] {
            let at = |margin: f64| PairLoss::new(margin + 1.5, 1.5).value();
            let expected = (at(margin - 1e-5) - at(margin + 1e-5)) / 2e-5;
            let found = PairLoss::new(margin + 1.5, 1.5).slope();
            assert!((found - expected).abs() < 1e-8, "{margin}: {found} {expected}");
        }
        assert!((PairLoss::new(0.0, 0.0).value() - 2.0_f64.ln()).abs() < 1e-15);
        assert!((PairLoss::new(-800.0, 0.0).value() - 800.0).abs() < 1e-9);
    }
}
