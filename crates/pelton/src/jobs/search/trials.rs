//! Trains a trial up to where it is compared with others, and tells how it goes.

use super::journal::{Cost, Journal, State, checkpoints};
use super::plan::{Lengths, Part, Plan, Tokens, tokens_at};
use crate::jobs::finetune;
use crate::jobs::report::Report;
use pelton_search::Point;
use pelton_trainer::{
    Base, Progress, TrainConfig, TrainData, TrainError, TrainOutcome, train_until,
};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Steps after which the time is noted; a kill forgets as much.
const NOTED_EVERY: u64 = 10;

/// The time of all attempts at a search.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    started: Instant,
    before: f64,
    seconds: Option<f64>,
}

impl Limits {
    pub fn start(minutes: Option<f64>, seconds_before: f64) -> Self {
        let seconds = minutes.map(|minutes| minutes * 60.0);
        Self { started: Instant::now(), before: seconds_before, seconds }
    }

    fn spent(self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    pub fn are_reached(self) -> bool {
        self.seconds.is_some_and(|limit| self.spent() >= limit)
    }
}

pub struct Trials<'a> {
    pub base: Base<'a>,
    pub data: &'a TrainData,
    pub lengths: &'a Lengths<'a>,
    pub plan: &'a Plan<'a>,
    pub limits: Limits,
    pub folder: &'a Path,
    pub report: Report,
}

impl Trials<'_> {
    fn settings(&self, point: &Point) -> (TrainConfig, Tokens) {
        let (config, tokens) = self.lengths.of(point);
        (self.plan.validated(config, tokens.len() as u64), tokens)
    }

    /// Trains a part of a trial, and puts what came out into the journal.
    pub fn advance(&self, journal: &mut Journal, part: Part) -> anyhow::Result<()> {
        let Part { trial, until } = part;
        if journal.trials[trial].state != State::Open {
            // It was over before this part, and is compared by what it had.
            let loss = journal.trials[trial].losses.last().copied();
            journal.trials[trial].losses.extend(loss);
            return journal.save(self.folder);
        }
        let (config, tokens) = self.settings(&journal.trials[trial].point);
        let told = Told::new(self, journal, part);
        let mut best = journal.best().map_or(f64::INFINITY, |best| journal.trials[best].loss());
        let mut observe = |progress: &Progress| {
            best = progress.val_loss.map_or(best, |loss| loss.min(best));
            told.step(self, progress, best);
            if self.limits.seconds.is_some() && progress.step.is_multiple_of(NOTED_EVERY) {
                journal.seconds = self.limits.spent();
                // The next note may succeed, and the end of the part must.
                let _ = journal.save(self.folder);
            }
            if self.limits.are_reached() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let folder = checkpoints(self.folder, trial);
        std::fs::create_dir_all(&folder)?;
        let trained = train_until(self.base, self.data, &config, &folder, until, &mut observe);
        let own = &mut journal.trials[trial];
        match trained {
            Ok(outcome) => own.note(&outcome.report, until),
            Err(TrainError::Diverged { step, loss, .. }) => {
                own.note_divergence(Cost { steps: step, tokens: tokens_at(&tokens, step) });
                self.report
                    .warn(&format!("trial {}: the loss is {loss} at step {step}", trial + 1));
            }
            Err(other) => return Err(finetune::failure(other)),
        }
        journal.seconds = self.limits.spent();
        journal.save(self.folder)?;
        self.report.info(&told.end(journal));
        Ok(())
    }

    /// What a trial made, from its last checkpoint.
    pub fn outcome(&self, journal: &Journal, trial: usize) -> anyhow::Result<TrainOutcome> {
        let done = &journal.trials[trial];
        let (config, _) = self.settings(&done.point);
        let folder = checkpoints(self.folder, trial);
        let mut quiet = |_: &Progress| ControlFlow::Continue(());
        let until = done.spent.steps;
        train_until(self.base, self.data, &config, &folder, until, &mut quiet)
            .map_err(finetune::failure)
    }
}

/// What is told while a part is trained.
struct Told {
    part: Part,
    /// Of all trials before this part.
    before: Cost,
    /// Of this trial before this part.
    own: Cost,
    steps: u64,
    most: usize,
    tokens: Option<u64>,
}

impl Told {
    fn new(trials: &Trials<'_>, journal: &Journal, part: Part) -> Self {
        let own = &journal.trials[part.trial];
        Self {
            part,
            before: journal.spent(),
            own: own.spent,
            steps: own.planned.steps,
            most: trials.plan.most(),
            tokens: trials.plan.tokens(journal),
        }
    }

    fn step(&self, trials: &Trials<'_>, progress: &Progress, best: f64) {
        let step = self.before.steps + progress.step.saturating_sub(self.own.steps);
        let tokens = self.before.tokens + progress.tokens.saturating_sub(self.own.tokens);
        let spent = trials.limits.spent();
        let left = match (trials.limits.seconds, self.tokens) {
            (Some(limit), _) => limit - spent,
            (None, Some(total)) => {
                total.saturating_sub(tokens) as f64 * spent / tokens.max(1) as f64
            }
            (None, None) => 0.0,
        };
        let so_far = if best.is_finite() { format!("{best:.4}") } else { "none yet".into() };
        let message = format!(
            "trial {} of {}, step {} of {}: loss {:.4}, best validation loss {so_far}, {:.0} s left",
            self.part.trial + 1,
            self.most,
            progress.step,
            self.steps,
            progress.loss,
            left.max(0.0)
        );
        match trials.limits.seconds {
            Some(limit) => {
                trials.report.progress(spent as u64, Some(limit as u64), "seconds", &message);
            }
            None => trials.report.progress(tokens, self.tokens, "tokens", &message),
        }
        let mut values = finetune::metrics(progress);
        values["trial"] = json!(self.part.trial + 1);
        values["trial_step"] = json!(progress.step);
        values["best_val_loss"] = json!(best.is_finite().then_some(best));
        values["search_tokens"] = json!(tokens);
        trials.report.metric(step, &values);
    }

    fn end(&self, journal: &Journal) -> String {
        let trial = &journal.trials[self.part.trial];
        format!(
            "trial {}: validation loss {:.4} after {} of {} steps",
            self.part.trial + 1,
            trial.loss(),
            trial.spent.steps,
            trial.planned.steps
        )
    }
}
