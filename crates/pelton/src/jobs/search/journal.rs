//! What a search has done so far, on disk: a search that is killed goes on from here to the same end.

use anyhow::Context as _;
use pelton_search::{Observation, Point};
use pelton_trainer::{StopReason, TrainReport};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};

/// A loss, written by its bits: decimal digits might not come back the same, and choices hang on them. Infinite
/// for a trial that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss(pub f64);

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.to_bits())
    }
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|bits| Self(f64::from_bits(bits)))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Journal {
    /// Seconds of all attempts, as far as they were noted.
    pub seconds: f64,
    /// In the order in which they began.
    pub trials: Vec<Trial>,
    /// Why no trial follows.
    pub ended: Option<Ended>,
}

/// Why a search is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All trials that were asked for are done.
    Trials,
    /// Another trial would cost more than is left.
    Budget,
    /// Every point was tried.
    Space,
}

/// How a trial stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits or runs. When the search is over: others went on instead of it.
    Open,
    /// It went its whole length.
    Completed,
    /// Its validation loss did not fall any more.
    EarlyStopped,
    /// Its loss was not a number any more.
    Diverged,
    /// The search's time was up.
    OutOfTime,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    pub point: Point,
    pub state: State,
    /// The best validation loss so far at the end of each part.
    pub losses: Vec<Loss>,
    /// Steps and tokens of its whole run.
    pub planned: Cost,
    pub spent: Cost,
    pub seconds: f64,
    pub initial: Option<Loss>,
    pub best: Option<Loss>,
    pub best_step: u64,
    pub curve: Vec<Validation>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub steps: u64,
    pub tokens: u64,
}

/// A point of a validation curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    pub step: u64,
    pub tokens: u64,
    pub val_loss: f32,
}

impl Trial {
    pub fn new(point: Point, planned: Cost) -> Self {
        Self {
            point,
            state: State::Open,
            losses: Vec::new(),
            planned,
            spent: Cost::default(),
            seconds: 0.0,
            initial: None,
            best: None,
            best_step: 0,
            curve: Vec::new(),
        }
    }

    /// The best validation loss; infinite where there is none.
    pub fn loss(&self) -> f64 {
        self.best.map_or(f64::INFINITY, |loss| loss.0)
    }

    /// Notes the end of a part.
    pub fn note(&mut self, report: &TrainReport, until: u64) {
        self.spent = Cost { steps: report.steps, tokens: report.tokens };
        self.seconds = report.seconds;
        self.initial = report.initial_val_loss.map(Loss);
        self.best = report.best_val_loss.map(Loss);
        self.best_step = report.best_step;
        self.curve = report
            .curve
            .iter()
            .filter_map(|point| {
                let val_loss = point.val_loss?;
                Some(Validation { step: point.step, tokens: point.tokens, val_loss })
            })
            .collect();
        self.state = match report.stopped {
            StopReason::Completed => State::Completed,
            StopReason::EarlyStopped => State::EarlyStopped,
            StopReason::Cancelled if report.steps >= self.planned.steps => State::Completed,
            StopReason::Cancelled if report.steps < until => State::OutOfTime,
            StopReason::Cancelled => State::Open,
        };
        self.losses.push(Loss(self.loss()));
    }

    /// Notes that the loss was no number at a step.
    pub fn note_divergence(&mut self, spent: Cost) {
        self.state = State::Diverged;
        self.spent = spent;
        self.best = None;
        self.losses.push(Loss(f64::INFINITY));
    }
}

impl Journal {
    const FILE: &str = "search.json";

    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        match std::fs::read(folder.join(Self::FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("the search's journal is broken"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        Ok(pelton_model::write_atomically(&folder.join(Self::FILE), &bytes)?)
    }

    /// Each trial's losses at the ends of its parts.
    pub fn losses(&self) -> Vec<Vec<f64>> {
        let of = |trial: &Trial| trial.losses.iter().map(|loss| loss.0).collect();
        self.trials.iter().map(of).collect()
    }

    pub fn observations(&self) -> Vec<Observation> {
        let trials = self.trials.iter();
        trials.map(|trial| Observation { point: trial.point.clone(), loss: trial.loss() }).collect()
    }

    pub fn spent(&self) -> Cost {
        self.trials.iter().fold(Cost::default(), |sum, trial| Cost {
            steps: sum.steps + trial.spent.steps,
            tokens: sum.tokens + trial.spent.tokens,
        })
    }

    /// The trial with the least validation loss, the earlier of two.
    pub fn best(&self) -> Option<usize> {
        let losses = self.trials.iter().map(Trial::loss).enumerate();
        let finite = losses.filter(|(_, loss)| loss.is_finite());
        finite.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(trial, _)| trial)
    }
}

/// Where a trial's checkpoints are.
pub fn checkpoints(folder: &Path, trial: usize) -> PathBuf {
    folder.join("trials").join(trial.to_string())
}

/// Removes the checkpoints of trials that do not go on; what cannot be removed only takes space.
pub fn drop_checkpoints(folder: &Path, kept: &[usize]) {
    for entry in std::fs::read_dir(folder.join("trials")).into_iter().flatten().flatten() {
        let trial = entry.file_name().to_string_lossy().parse::<usize>();
        if trial.is_ok_and(|trial| !kept.contains(&trial)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(loss: Option<f64>) -> Trial {
        let mut trial = Trial::new(vec![3.17e-3, 2.0], Cost { steps: 9, tokens: 900 });
        trial.best = loss.map(Loss);
        trial
    }

    #[test]
    fn what_is_read_again_has_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::default();
        for loss in [0.1 + 0.2, 1.0 / 3.0, 2.0e-308, f64::MAX] {
            journal.trials.push(trial(Some(loss)));
        }
        journal.trials[0].note_divergence(Cost { steps: 4, tokens: 400 });
        journal.ended = Some(Ended::Budget);
        journal.save(folder.path()).unwrap();
        let read = Journal::open(folder.path()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{journal:?}"));
        assert_eq!(read.losses()[0], [f64::INFINITY]);
        assert_eq!(read.spent(), Cost { steps: 4, tokens: 400 });
        assert!(Journal::open(&folder.path().join("none")).unwrap().trials.is_empty());
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_no_failure() {
        let journal = |losses: &[Option<f64>]| Journal {
            trials: losses.iter().map(|loss| trial(*loss)).collect(),
            ..Journal::default()
        };
        assert_eq!(journal(&[None, Some(0.5), Some(0.25), Some(0.25)]).best(), Some(2));
        assert_eq!(journal(&[None, None]).best(), None);
        let mut diverged = journal(&[Some(0.1), Some(0.5)]);
        diverged.trials[0].note_divergence(Cost::default());
        assert_eq!(diverged.best(), Some(1));
    }
}
