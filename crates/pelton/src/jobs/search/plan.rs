//! Which trial is trained next, and how far.

use super::journal::{Cost, Ended, Journal, State, Trial};
use super::space::Choices;
use super::{Method, Spec};
use crate::jobs::finetune::Prepared;
use crate::jobs::report::JobFailure;
use pelton_search::{Halving, Observation, Point, Sampler, suggest};
use pelton_trainer::{TrainConfig, planned_tokens};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Trials where neither a number nor a budget is given.
const TRIALS: usize = 16;
/// As many make a bracket of three rungs.
const BRACKET: usize = 9;
/// The most that a budget is divided among at first.
const LARGEST_BRACKET: usize = 81;
/// Trials of a search that only its budget ends.
const MOST_TRIALS: usize = 1_000;
/// Share of the minutes that a bracket is planned for: how long it will take is only estimated.
const PLANNED_SHARE: f64 = 0.8;
/// Validations of a run that is not compared on its way.
const VALIDATIONS: u64 = 10;
/// Validations without improvement after which a run stops: half of them, and at least so many.
const LEAST_PATIENCE: u64 = 3;

/// Runs among which the cheapest is looked for, to tell what a budget must pay for.
const COMPARED: u64 = 50;

/// Part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub trial: usize,
    /// The step at which it ends.
    pub until: u64,
}

/// Tokens of a run after each of its steps.
pub type Tokens = Rc<[u64]>;

/// How long runs are, in steps and tokens: exactly, before they begin.
pub struct Lengths<'a> {
    prepared: &'a Prepared,
    choices: &'a Choices,
    /// By the run's length and its batches, which alone decide.
    known: RefCell<HashMap<(String, usize), Tokens>>,
}

impl<'a> Lengths<'a> {
    pub fn new(prepared: &'a Prepared, choices: &'a Choices) -> Self {
        Self { prepared, choices, known: RefCell::default() }
    }

    /// The settings of a point's run, and the tokens after each of its steps.
    pub fn of(&self, point: &Point) -> (TrainConfig, Tokens) {
        let config = self.prepared.config_for(&self.choices.run(point));
        let key = (format!("{:?}", config.length), config.batch_tokens);
        let tokens = self.known.borrow().get(&key).cloned();
        let tokens = tokens.unwrap_or_else(|| {
            let tokens: Tokens = planned_tokens(&self.prepared.data, &config).into();
            self.known.borrow_mut().insert(key, Rc::clone(&tokens));
            tokens
        });
        (config, tokens)
    }

    fn cost(&self, point: &Point) -> Cost {
        let (_, tokens) = self.of(point);
        Cost { steps: tokens.len() as u64, tokens: tokens.last().copied().unwrap_or(0) }
    }
}

pub struct Plan<'a> {
    spec: &'a Spec,
    choices: &'a Choices,
    lengths: &'a Lengths<'a>,
    bracket: Option<Halving>,
    /// Trials at most.
    most: usize,
}

impl<'a> Plan<'a> {
    /// Plans a search, or goes on with what the journal has. `seconds_per_token` is an estimate.
    pub fn new(
        spec: &'a Spec,
        choices: &'a Choices,
        lengths: &'a Lengths<'a>,
        seconds_per_token: f64,
        journal: &mut Journal,
    ) -> Result<Self, JobFailure> {
        let has_budget = spec.budget_tokens.is_some() || spec.budget_minutes.is_some();
        let asked = spec.trials.unwrap_or(match (spec.method, has_budget) {
            (Method::Halving, false) => BRACKET,
            (Method::Halving, true) => LARGEST_BRACKET,
            (_, false) => TRIALS,
            (_, true) => MOST_TRIALS,
        });
        let most = asked.min(choices.space.size().unwrap_or(usize::MAX));
        let mut plan = Self { spec, choices, lengths, bracket: None, most };
        if spec.method == Method::Halving {
            if journal.trials.is_empty() {
                let points = plan.bracket_points(seconds_per_token)?;
                journal.trials = points
                    .into_iter()
                    .map(|point| Trial::new(point.clone(), lengths.cost(&point)))
                    .collect();
            }
            plan.most = journal.trials.len();
            plan.bracket = Some(Halving::new(plan.most));
        }
        Ok(plan)
    }

    /// The points of the largest bracket that the budget pays for, even if the dearest of them go on.
    fn bracket_points(&self, seconds_per_token: f64) -> Result<Vec<Point>, JobFailure> {
        let mut points: Vec<Point> = Vec::new();
        while points.len() < self.most {
            let refused = |point: &Point| points.contains(point);
            let number = (self.spec.seed, points.len() as u64);
            let space = &self.choices.space;
            match suggest(Sampler::Random, space, &[], number, &refused) {
                Some(point) => points.push(point),
                None => break,
            }
        }
        while !points.is_empty() {
            let cost = self.bracket_cost(&points);
            let in_time = self.spec.budget_minutes.is_none_or(|minutes| {
                cost as f64 * seconds_per_token <= minutes * 60.0 * PLANNED_SHARE
            });
            let paid = self.spec.budget_tokens.is_none_or(|budget| cost <= budget);
            // A single run is tried within minutes, whatever the estimate says: it is stopped in time.
            if paid && (in_time || points.len() == 1) {
                return Ok(points);
            }
            if points.len() == 1 {
                break;
            }
            points.pop();
        }
        Err(self.too_small())
    }

    fn bracket_cost(&self, points: &[Point]) -> u64 {
        let bracket = Halving::new(points.len());
        let costs: Vec<Vec<u64>> = points
            .iter()
            .map(|point| {
                let (_, tokens) = self.lengths.of(point);
                let steps = bracket.steps(tokens.len() as u64);
                steps.iter().map(|&step| tokens_at(&tokens, step)).collect()
            })
            .collect();
        bracket.most_cost(|trial, rung| costs[trial][rung])
    }

    /// The budget does not pay for a single run.
    pub fn too_small(&self) -> JobFailure {
        let budget = self.spec.budget_tokens.unwrap_or(0);
        let space = &self.choices.space;
        let drawn = |number| suggest(Sampler::Random, space, &[], (0, number), &|_| false);
        let costs = (0..COMPARED).filter_map(drawn).map(|point| self.lengths.cost(&point).tokens);
        let least = costs.min().unwrap_or(0);
        let message = format!("the budget is {budget} tokens, but one run takes {least} or more");
        JobFailure::input(message, "Raise the budget, or search fewer epochs or fewer rows.")
    }

    /// What happens, for the log.
    pub fn describe(&self, journal: &Journal) -> String {
        let budget = match (self.spec.budget_tokens, self.spec.budget_minutes) {
            (Some(tokens), _) => format!("within {tokens} tokens"),
            (None, Some(minutes)) => format!("within {minutes} minutes"),
            (None, None) => "without a budget".to_owned(),
        };
        let done = journal.trials.iter().filter(|trial| !trial.losses.is_empty()).count();
        let how = match &self.bracket {
            Some(bracket) => {
                let rungs = bracket.rungs().iter();
                let rungs: Vec<String> = rungs
                    .map(|rung| match rung.divisor {
                        1 => format!("{} to the end", rung.trials),
                        divisor => format!("{} for 1/{divisor} of a run", rung.trials),
                    })
                    .collect();
                format!("{}: {}", self.spec.method.name(), rungs.join(", "))
            }
            None => format!("{} of {} trials at most", self.spec.method.name(), self.most),
        };
        let resumed =
            if done > 0 { format!("; goes on after {done} trials") } else { String::new() };
        format!("{how}, {budget}{resumed}")
    }

    /// Trials at most.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Tokens of the whole search, about or at most; nothing where only time counts.
    pub fn tokens(&self, journal: &Journal) -> Option<u64> {
        if self.spec.budget_minutes.is_some() {
            return None;
        }
        let points = || journal.trials.iter().map(|trial| trial.point.clone()).collect::<Vec<_>>();
        match (&self.bracket, self.spec.budget_tokens) {
            (Some(_), _) => Some(self.bracket_cost(&points())),
            (None, Some(budget)) => Some(budget),
            (None, None) => {
                let planned: u64 = journal.trials.iter().map(|trial| trial.planned.tokens).sum();
                let mean = planned / journal.trials.len().max(1) as u64;
                let to_come = self.most.saturating_sub(journal.trials.len()) as u64;
                Some(planned + mean * to_come)
            }
        }
    }

    /// How a trial is validated: at the ends of its parts, or ten times.
    pub fn validated(&self, config: TrainConfig, steps: u64) -> TrainConfig {
        let compared = self.bracket.as_ref().filter(|bracket| bracket.rungs().len() > 1);
        let interval = match compared {
            Some(bracket) => bracket.steps(steps)[0],
            None => steps.div_ceil(VALIDATIONS).max(1),
        };
        let patience = (steps / interval / 2).max(LEAST_PATIENCE);
        TrainConfig {
            validation_interval: interval,
            patience: Some(u32::try_from(patience).unwrap_or(u32::MAX)),
            ..config
        }
    }

    /// What is trained next; nothing when the search is over, which the journal then knows. A new trial is put
    /// into the journal.
    pub fn next(&self, journal: &mut Journal, time_is_up: bool) -> Option<Part> {
        let stopped = journal.trials.iter().any(|trial| trial.state == State::OutOfTime);
        if time_is_up || stopped {
            journal.ended = Some(Ended::Budget);
            return None;
        }
        let part = match &self.bracket {
            Some(bracket) => bracket.next(&journal.losses()).map(|segment| {
                let steps = journal.trials[segment.trial].planned.steps;
                Part { trial: segment.trial, until: bracket.steps(steps)[segment.rung] }
            }),
            None => self.next_trial(journal),
        };
        if part.is_none() && journal.ended.is_none() {
            journal.ended = Some(Ended::Trials);
        }
        part
    }

    fn next_trial(&self, journal: &mut Journal) -> Option<Part> {
        let open = journal.trials.iter().position(|trial| trial.state == State::Open);
        let trial = match open {
            Some(trial) => trial,
            None => self.begin(journal)?,
        };
        Some(Part { trial, until: journal.trials[trial].planned.steps })
    }

    fn begin(&self, journal: &mut Journal) -> Option<usize> {
        let trial = journal.trials.len();
        if trial >= self.most {
            return None;
        }
        let left = self.spec.budget_tokens.map(|b| b.saturating_sub(journal.spent().tokens));
        let too_dear = Cell::new(false);
        let observed: Vec<Observation> = journal.observations();
        let refused = |point: &Point| {
            if observed.iter().any(|one| one.point == *point) {
                return true;
            }
            let dear = left.is_some_and(|left| self.lengths.cost(point).tokens > left);
            too_dear.set(too_dear.get() || dear);
            dear
        };
        let sampler = if self.spec.method == Method::Tpe { Sampler::Tpe } else { Sampler::Random };
        let number = (self.spec.seed, trial as u64);
        let Some(point) = suggest(sampler, &self.choices.space, &observed, number, &refused) else {
            journal.ended = Some(if too_dear.get() { Ended::Budget } else { Ended::Space });
            return None;
        };
        let planned = self.lengths.cost(&point);
        journal.trials.push(Trial::new(point, planned));
        Some(trial)
    }

    /// The trials whose checkpoints are still needed while `running` is trained.
    pub fn kept(&self, journal: &Journal, running: usize) -> Vec<usize> {
        let losses = journal.losses();
        match &self.bracket {
            Some(bracket) => match losses[running].len() {
                0 => (0..self.most).collect(),
                reached => bracket.survivors(&losses, reached - 1),
            },
            None => journal.best().into_iter().chain([running]).collect(),
        }
    }
}

/// Tokens after a step, counted from one.
pub fn tokens_at(tokens: &[u64], step: u64) -> u64 {
    let last = usize::try_from(step).ok().and_then(|step| step.checked_sub(1));
    last.and_then(|last| tokens.get(last)).copied().unwrap_or(0)
}
