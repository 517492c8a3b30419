//! What a search tells when it is over: every trial, the best one, and what mattered.

use super::charts::{self, Mark};
use super::journal::{Ended, Journal, State, Trial};
use super::space::Choices;
use super::{Judges, Method, Spec};
use pelton_search::{Importance, Settings, importance};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Trials that the card lists; the report has all.
const LISTED: usize = 30;
/// What is called chance.
const SIGNIFICANT: f64 = 0.05;

pub struct SearchReport<'a> {
    pub spec: &'a Spec,
    pub choices: &'a Choices,
    pub journal: &'a Journal,
    pub judges: &'a Judges,
    pub threads: usize,
    /// The best trial.
    pub best: usize,
}

const REPORT: &str = "search_report.json";
const BY_TRIAL: &str = "search_loss_by_trial.svg";
const BY_RATE: &str = "search_loss_by_learning_rate.svg";

impl SearchReport<'_> {
    /// Writes the report and its pictures beside the adapter.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(&self.json())?;
        text.push('\n');
        std::fs::write(folder.join(REPORT), text)?;
        std::fs::write(folder.join(BY_TRIAL), self.by_trial())?;
        if let Some(picture) = self.by_rate() {
            std::fs::write(folder.join(BY_RATE), picture)?;
        }
        Ok(())
    }

    fn best(&self) -> &Trial {
        &self.journal.trials[self.best]
    }

    fn json(&self) -> Value {
        let Self { spec, choices, journal, judges, threads, best } = self;
        let spent = journal.spent();
        let trials = journal.trials.iter().enumerate();
        let trials: Vec<Value> = trials.map(|(number, trial)| self.trial(number, trial)).collect();
        json!({
            "name": spec.name,
            "base": spec.base,
            "dataset": spec.dataset,
            "method": spec.method,
            "seed": spec.seed,
            "threads": threads,
            "budget": { "trials": spec.trials, "tokens": spec.budget_tokens, "minutes": spec.budget_minutes },
            "spent": { "tokens": spent.tokens, "steps": spent.steps, "seconds": journal.seconds },
            "ended": journal.ended,
            "validation": { "examples": judges.examples, "source": judges.source },
            "searched": choices.described(),
            "best": {
                "trial": best + 1,
                "hyperparameters": choices.shown(&self.best().point),
                "val_loss": self.best().loss(),
                "command": self.command(),
            },
            "importance": self.importances().iter().map(|(name, measure, found)| json!({
                "hyperparameter": name,
                "measure": measure,
                "strength": found.map(|found| found.strength),
                "p_value": found.map(|found| found.p_value),
                "trials": found.map(|found| found.trials),
            })).collect::<Vec<Value>>(),
            "notes": self.notes(),
            "trials": trials,
        })
    }

    fn trial(&self, number: usize, trial: &Trial) -> Value {
        json!({
            "trial": number + 1,
            "hyperparameters": self.choices.shown(&trial.point),
            "state": state(trial),
            "val_loss": trial.best.map(|loss| loss.0),
            "best_step": trial.best_step,
            "initial_val_loss": trial.initial.map(|loss| loss.0),
            "steps": trial.spent.steps,
            "planned_steps": trial.planned.steps,
            "tokens": trial.spent.tokens,
            "seconds": trial.seconds,
            "curve": trial.curve,
        })
    }

    /// What the job answers, with the model's name to come.
    pub fn result(&self) -> Value {
        let (best, spent) = (self.best(), self.journal.spent());
        let mut result = Map::new();
        result.insert("model".into(), Value::Null);
        result.insert("best_trial".into(), json!(self.best + 1));
        result.extend(self.choices.shown(&best.point));
        let rest = json!({
            "best_val_loss": best.loss(),
            "trials": self.journal.trials.len(),
            "steps": spent.steps,
            "tokens": spent.tokens,
            "train_seconds": self.journal.seconds,
            "ended": self.journal.ended,
        });
        if let Value::Object(rest) = rest {
            result.extend(rest);
        }
        Value::Object(result)
    }

    /// The section of the model card.
    pub fn markdown(&self) -> String {
        let Self { spec, choices, journal, judges, .. } = self;
        let spent = journal.spent();
        let mut text = format!(
            "## Search\n\n\
             These hyperparameters are the best of {} trials ({}, seed {}), judged by the loss on {} examples\n\
             ({}). {} tokens and {:.0} seconds were spent; {}.\n\n",
            journal.trials.len(),
            spec.method.name(),
            spec.seed,
            judges.examples,
            judges.source,
            spent.tokens,
            journal.seconds,
            ended(journal.ended),
        );
        let names: Vec<String> = choices.described().keys().cloned().collect();
        let _ = writeln!(
            text,
            "| trial | {} | validation loss | steps | tokens | |",
            names.join(" | ")
        );
        let _ =
            writeln!(text, "| ---: |{} ---: | ---: | ---: | --- |", " --- |".repeat(names.len()));
        let mut ranked: Vec<usize> = (0..journal.trials.len()).collect();
        ranked.sort_by(|one, other| {
            let (one, other) = (&journal.trials[*one], &journal.trials[*other]);
            one.loss().total_cmp(&other.loss())
        });
        for &number in ranked.iter().take(LISTED) {
            let trial = &journal.trials[number];
            let shown = choices.shown(&trial.point);
            let values: Vec<String> = shown.values().map(plain).collect();
            let loss = trial.best.map_or("none".into(), |loss| format!("{:.4}", loss.0));
            let _ = writeln!(
                text,
                "| {} | {} | {loss} | {} of {} | {} | {} |",
                number + 1,
                values.join(" | "),
                trial.spent.steps,
                trial.planned.steps,
                trial.spent.tokens,
                state(trial).replace('_', " "),
            );
        }
        if ranked.len() > LISTED {
            let _ = writeln!(text, "\nThe {} others are in `{REPORT}`.", ranked.len() - LISTED);
        }
        let _ = write!(text, "\n![Validation loss by trial]({BY_TRIAL})\n");
        if self.by_rate().is_some() {
            let _ = writeln!(text, "![Validation loss by learning rate]({BY_RATE})");
        }
        self.importance_markdown(&mut text);
        let _ = write!(
            text,
            "\nThe same settings without a search:\n\n```sh\n{}\n```\n\n",
            self.command()
        );
        for note in self.notes() {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    fn importance_markdown(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n| hyperparameter | measure | strength | by chance |\n| --- | --- | ---: | ---: |\n"
        );
        for (name, measure, found) in self.importances() {
            let (strength, chance) = found.map_or(("unknown".into(), "unknown".into()), |found| {
                (format!("{:.2}", found.strength), format!("{:.3}", found.p_value))
            });
            let _ = writeln!(text, "| {name} | {measure} | {strength} | {chance} |");
        }
    }

    /// How much each hyperparameter mattered. Trials are compared where all of them have been.
    fn importances(&self) -> Vec<(&'static str, &'static str, Option<Importance>)> {
        let (mut points, mut losses) = (Vec::new(), Vec::new());
        for trial in self.journal.trials.iter().filter(|trial| trial.state != State::OutOfTime) {
            if let Some(loss) = trial.losses.first() {
                points.push(&trial.point);
                losses.push(loss.0);
            }
        }
        let of = |(name, settings): (&'static str, Settings)| {
            let measure = match settings {
                Settings::Numbers(_) => "rank correlation",
                Settings::Kinds(_) => "correlation ratio",
            };
            (name, measure, importance(&settings, &losses, self.spec.seed))
        };
        self.choices.settings(&points).into_iter().map(of).collect()
    }

    fn notes(&self) -> Vec<String> {
        let trials = self.journal.trials.len();
        let mut notes = vec![format!(
            "The least of {trials} validation losses looks better than it is, because it was chosen for being the \
             least: evaluate the adapter on rows that took no part."
        )];
        let where_compared = if self.spec.method == Method::Halving {
            "at the first comparison, where all had been trained for the same part of their runs"
        } else {
            "at their ends"
        };
        notes.push(format!(
            "What mattered is from {trials} trials {where_compared}, one hyperparameter at a time. Below zero means \
             that more is better. \"By chance\" is how often a random order of the losses looks as strong: above \
             {SIGNIFICANT} it may be nothing."
        ));
        let same = "All trials have the same seed, rows and order of rows; another seed may choose otherwise.";
        notes.push(same.into());
        notes
    }

    /// How to have the same settings without a search.
    fn command(&self) -> String {
        let Spec { name, base, dataset, seed, .. } = self.spec;
        let run = self.choices.run(&self.best().point);
        let mut command = format!(
            "pelton finetune create {name} --base {base} --dataset {dataset} --seed {seed}"
        );
        let options = [
            ("learning-rate", run.learning_rate.map(|rate| rate.to_string())),
            ("rank", run.rank.map(|rank| rank.to_string())),
            ("epochs", run.epochs.map(|epochs| epochs.to_string())),
            ("batch-tokens", run.batch_tokens.map(|tokens| tokens.to_string())),
            ("targets", run.targets.map(|targets| targets.name().to_owned())),
            ("rehearsal", run.rehearsal.map(|share| share.to_string())),
            ("kl-to-base", run.kl_to_base.map(|weight| weight.to_string())),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                let _ = write!(command, " --{option} {value}");
            }
        }
        command
    }

    fn marks(&self, across: impl Fn(usize, &Trial) -> Option<f64>) -> Vec<Mark> {
        let trials = self.journal.trials.iter().enumerate();
        let marks = trials.filter_map(|(number, trial)| {
            let (x, loss) = (across(number, trial)?, trial.best?.0);
            let whole = matches!(trial.state, State::Completed | State::EarlyStopped);
            Some(Mark { x, y: loss, whole, best: number == self.best })
        });
        marks.collect()
    }

    fn by_trial(&self) -> String {
        let marks = self.marks(|number, _| Some((number + 1) as f64));
        charts::scatter("trial", false, &marks)
    }

    fn by_rate(&self) -> Option<String> {
        let marks = self.marks(|_, trial| self.choices.learning_rate(&trial.point));
        (!marks.is_empty()).then(|| charts::scatter("learning rate", true, &marks))
    }
}

const fn ended(ended: Option<Ended>) -> &'static str {
    match ended {
        Some(Ended::Budget) => "the budget ended it",
        Some(Ended::Space) => "there was nothing else to try",
        Some(Ended::Trials) | None => "all trials were done",
    }
}

const fn state(trial: &Trial) -> &'static str {
    match trial.state {
        State::Open if trial.losses.is_empty() => "not_begun",
        State::Open => "outpaced",
        State::Completed => "completed",
        State::EarlyStopped => "early_stopped",
        State::Diverged => "diverged",
        State::OutOfTime => "out_of_time",
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
