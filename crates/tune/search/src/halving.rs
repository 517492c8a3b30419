//! Successive halving (Jamieson and Talwalkar 2016): all trials get a little training, the best of them more.

/// One in so many trials goes on, for so many times the training.
pub const ETA: usize = 3;
/// Rungs above the first at most: the first rung is a 27th of a run then. Less tells little about the end.
const MOST_ABOVE: u32 = 3;

/// Which trials go on for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halving {
    rungs: Vec<Rung>,
}

/// A stage, after which trials are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Trials that reach it.
    pub trials: usize,
    /// Part of a whole run after which it is reached: one in so many.
    pub divisor: u64,
}

/// Work to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The trial, from zero.
    pub trial: usize,
    /// The rung that it has to reach.
    pub rung: usize,
}

impl Halving {
    /// A bracket of this many trials.
    #[must_use]
    pub fn new(trials: usize) -> Self {
        let above = trials.max(1).ilog(ETA).min(MOST_ABOVE);
        let rungs = (0..=above)
            .map(|rung| Rung {
                trials: trials.max(1) / ETA.pow(rung),
                divisor: (ETA as u64).pow(above - rung),
            })
            .collect();
        Self { rungs }
    }

    /// Its rungs, the longest last.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Trials at the start.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.rungs[0].trials
    }

    /// The step at which each rung of a run of `steps` is reached. All but the last are multiples of the first, so
    /// that one interval of validations meets them all.
    #[must_use]
    pub fn steps(&self, steps: u64) -> Vec<u64> {
        let first = (steps / self.rungs[0].divisor).max(1);
        let last = self.rungs.len() - 1;
        let scale = |rung: usize| (ETA as u64).pow(u32::try_from(rung).unwrap_or(u32::MAX));
        (0..last).map(|rung| (first * scale(rung)).min(steps)).chain([steps]).collect()
    }

    /// What to do next, given each trial's losses at the rungs that it has reached; nothing when all is done.
    #[must_use]
    pub fn next(&self, losses: &[Vec<f64>]) -> Option<Segment> {
        let mut running: Vec<usize> = (0..self.trials()).collect();
        for (rung, _) in self.rungs.iter().enumerate() {
            let reached = |trial: usize| losses.get(trial).and_then(|losses| losses.get(rung));
            if let Some(&trial) = running.iter().find(|&&trial| reached(trial).is_none()) {
                return Some(Segment { trial, rung });
            }
            running = self.survivors(losses, rung);
        }
        None
    }

    /// The trials that go on after a rung that all its trials have reached, in their order; after the last rung,
    /// the best one.
    #[must_use]
    pub fn survivors(&self, losses: &[Vec<f64>], rung: usize) -> Vec<usize> {
        let mut ranked: Vec<(f64, usize)> = losses
            .iter()
            .enumerate()
            .filter_map(|(trial, losses)| Some((*losses.get(rung)?, trial)))
            .collect();
        ranked.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let kept = self.rungs.get(rung + 1).map_or(1, |next| next.trials);
        let mut kept: Vec<usize> = ranked.into_iter().take(kept).map(|(_, trial)| trial).collect();
        kept.sort_unstable();
        kept
    }

    /// The most that the bracket can cost, when the dearest trials survive. `cost` is what a trial has cost when it
    /// has reached a rung, all that came before included.
    pub fn most_cost(&self, cost: impl Fn(usize, usize) -> u64) -> u64 {
        (0..self.rungs.len())
            .map(|rung| {
                let before = |trial| if rung == 0 { 0 } else { cost(trial, rung - 1) };
                let mut costs: Vec<u64> = (0..self.trials())
                    .map(|trial| cost(trial, rung).saturating_sub(before(trial)))
                    .collect();
                costs.sort_unstable_by(|one, other| other.cmp(one));
                costs.iter().take(self.rungs[rung].trials).sum::<u64>()
            })
            .sum()
    }
}
