//! From the ranges of a request to a space, and from its points to the settings of a run.

use super::Spec;
use crate::jobs::report::JobFailure;
use pelton_finetune::{FinetuneSpec, Targets};
use pelton_search::{Dimension, Domain, Point, Scale, Settings, Space};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The values of one hyperparameter.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum Range {
    One(f64),
    Choices(Vec<f64>),
    Span { from: f64, to: f64 },
}

/// What holds where the request says nothing: what matters most is searched, the rest is as in a fine-tune.
mod defaults {
    use super::Range;

    pub const LEARNING_RATE: Range = Range::Span { from: 1e-4, to: 1e-2 };
    pub const RANKS: [f64; 4] = [4.0, 8.0, 16.0, 32.0];
}

/// The hyperparameters that are searched, and the run that they are put into.
pub struct Choices {
    pub space: Space,
    axes: Vec<Axis>,
    run: FinetuneSpec,
}

struct Axis {
    name: Name,
    values: Values,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    LearningRate,
    Rank,
    Epochs,
    BatchTokens,
    Targets,
}

/// What a coordinate of a point stands for.
enum Values {
    /// Itself.
    Span {
        from: f64,
        to: f64,
    },
    Numbers(Vec<f64>),
    Targets(Vec<Targets>),
}

impl Name {
    const fn text(self) -> &'static str {
        match self {
            Self::LearningRate => "learning_rate",
            Self::Rank => "rank",
            Self::Epochs => "epochs",
            Self::BatchTokens => "batch_tokens",
            Self::Targets => "targets",
        }
    }

    fn span(self, from: f64, to: f64) -> Domain {
        let integer = |scale| Domain::Integer { from: from as u64, to: to as u64, scale };
        match self {
            Self::LearningRate => Domain::Real { from, to, scale: Scale::Logarithmic },
            Self::Rank | Self::BatchTokens => integer(Scale::Logarithmic),
            Self::Epochs | Self::Targets => integer(Scale::Linear),
        }
    }

    fn set(self, run: &mut FinetuneSpec, value: f64) {
        match self {
            Self::LearningRate => run.learning_rate = Some(value),
            Self::Rank => run.rank = Some(value as u32),
            Self::Epochs => run.epochs = Some(value),
            Self::BatchTokens => run.batch_tokens = Some(value as u32),
            // Kinds have no number.
            Self::Targets => {}
        }
    }
}

impl Choices {
    pub fn new(spec: &Spec) -> Result<Self, JobFailure> {
        let rate = spec.learning_rate.clone().unwrap_or(defaults::LEARNING_RATE);
        let rank = spec.rank.clone().unwrap_or_else(|| Range::Choices(defaults::RANKS.to_vec()));
        let ranges = [
            (Name::LearningRate, Some(rate)),
            (Name::Rank, Some(rank)),
            (Name::Epochs, spec.epochs.clone()),
            (Name::BatchTokens, spec.batch_tokens.clone()),
        ];
        let (mut axes, mut run) = (Vec::new(), run_of(spec));
        for (name, range) in ranges {
            let values = match range {
                None => continue,
                Some(Range::One(value)) => Values::Numbers(vec![value]),
                Some(Range::Choices(list)) => Values::Numbers(list),
                Some(Range::Span { from, to }) => Values::Span { from, to },
            };
            match values {
                Values::Numbers(list) if list.len() == 1 => name.set(&mut run, list[0]),
                values => axes.push(Axis { name, values }),
            }
        }
        match spec.targets.as_deref() {
            None | Some([]) => {}
            Some([one]) => run.targets = Some(*one),
            Some(several) => {
                let values = Values::Targets(several.to_vec());
                axes.push(Axis { name: Name::Targets, values });
            }
        }
        let space = Space::new(axes.iter().map(Axis::dimension).collect());
        match space.filter(|space| !space.dimensions().is_empty()) {
            Some(space) => Ok(Self { space, axes, run }),
            None => Err(JobFailure::input(
                "there is nothing to choose from: a range is empty, or no hyperparameter has two values",
                "Give a range such as 1e-4..1e-2, or a list such as 8,16,32.",
            )),
        }
    }

    /// The run of a point.
    pub fn run(&self, point: &Point) -> FinetuneSpec {
        let mut run = self.run.clone();
        for (axis, value) in self.axes.iter().zip(point) {
            match (&axis.values, axis.number(*value)) {
                (Values::Targets(list), _) => run.targets = Some(list[*value as usize]),
                (_, number) => axis.name.set(&mut run, number),
            }
        }
        run
    }

    /// The run that takes the most memory: every hyperparameter at its largest.
    pub fn largest(&self) -> FinetuneSpec {
        let mut run = self.run.clone();
        for axis in &self.axes {
            match &axis.values {
                Values::Span { to, .. } => axis.name.set(&mut run, *to),
                Values::Numbers(list) => {
                    axis.name.set(&mut run, list.iter().copied().fold(0.0, f64::max));
                }
                Values::Targets(_) => run.targets = Some(Targets::All),
            }
        }
        run
    }

    /// The names of what is searched, and a point's values.
    pub fn shown(&self, point: &Point) -> Map<String, Value> {
        let named = self.axes.iter().zip(point).map(|(axis, value)| {
            let value = match &axis.values {
                Values::Targets(list) => json!(list[*value as usize]),
                _ => number(axis.name, axis.number(*value)),
            };
            (axis.name.text().to_owned(), value)
        });
        named.collect()
    }

    /// What each hyperparameter may be, for people.
    pub fn described(&self) -> Map<String, Value> {
        let named = self.axes.iter().map(|axis| {
            let values = match &axis.values {
                Values::Span { from, to } => {
                    json!({ "from": number(axis.name, *from), "to": number(axis.name, *to) })
                }
                Values::Numbers(list) => {
                    list.iter().map(|value| number(axis.name, *value)).collect()
                }
                Values::Targets(list) => json!(list),
            };
            (axis.name.text().to_owned(), values)
        });
        named.collect()
    }

    /// What trials had for each hyperparameter.
    pub fn settings(&self, points: &[&Point]) -> Vec<(&'static str, Settings)> {
        let of = |place: usize| points.iter().map(move |point| point[place]);
        let named = self.axes.iter().enumerate().map(|(place, axis)| {
            let settings = match axis.values {
                Values::Targets(_) => {
                    Settings::Kinds(of(place).map(|value| value as usize).collect())
                }
                _ => Settings::Numbers(of(place).map(|value| axis.number(value)).collect()),
            };
            (axis.name.text(), settings)
        });
        named.collect()
    }

    /// A point's learning rate, where it is searched.
    pub fn learning_rate(&self, point: &Point) -> Option<f64> {
        let place = self.axes.iter().position(|axis| axis.name == Name::LearningRate)?;
        Some(self.axes[place].number(point[place]))
    }
}

impl Axis {
    fn dimension(&self) -> Dimension {
        let domain = match &self.values {
            Values::Span { from, to } => self.name.span(*from, *to),
            Values::Numbers(list) => Domain::Choice(list.len()),
            Values::Targets(list) => Domain::Choice(list.len()),
        };
        Dimension { name: self.name.text(), domain }
    }

    /// The number that a coordinate stands for.
    fn number(&self, value: f64) -> f64 {
        match &self.values {
            Values::Numbers(list) => list[value as usize],
            Values::Span { .. } | Values::Targets(_) => value,
        }
    }
}

/// Whole numbers are shown as such.
fn number(name: Name, value: f64) -> Value {
    if name == Name::LearningRate { json!(value) } else { json!(value as u64) }
}

fn run_of(spec: &Spec) -> FinetuneSpec {
    FinetuneSpec {
        name: spec.name.clone(),
        base: spec.base.clone(),
        dataset: Some(spec.dataset.clone()),
        base_precision: spec.base_precision,
        seed: spec.seed,
        rehearsal: spec.rehearsal,
        kl_to_base: spec.kl_to_base,
        ..FinetuneSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: Value) -> Result<Choices, JobFailure> {
        let mut spec = json!({ "name": "desk", "base": "tiny@1", "dataset": "desk@1", "seed": 1 });
        for (key, value) in request.as_object().unwrap() {
            spec[key] = value.clone();
        }
        Choices::new(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn points_become_runs() {
        let choices = check(json!({
            "learning_rate": { "from": 1e-4, "to": 1e-2 }, "rank": [4, 8], "epochs": { "from": 1, "to": 6 },
            "batch_tokens": 512, "targets": ["all", "attention"],
        }))
        .unwrap();
        let point = vec![2.5e-3, 1.0, 4.0, 1.0];
        let run = choices.run(&point);
        assert_eq!((run.rank, run.learning_rate, run.epochs), (Some(8), Some(2.5e-3), Some(4.0)));
        assert_eq!((run.batch_tokens, run.targets), (Some(512), Some(Targets::Attention)));
        let expected =
            json!({ "learning_rate": 0.0025, "rank": 8, "epochs": 4, "targets": "attention" });
        assert_eq!(Value::Object(choices.shown(&point)), expected);
        let largest = choices.largest();
        assert_eq!(
            (largest.rank, largest.epochs, largest.targets),
            (Some(8), Some(6.0), Some(Targets::All))
        );
        let settings = choices.settings(&[&point]);
        assert_eq!(settings[1], ("rank", Settings::Numbers(vec![8.0])));
        assert_eq!(settings[3], ("targets", Settings::Kinds(vec![1])));
    }

    #[test]
    fn what_is_not_asked_for_has_a_default() {
        let choices = check(json!({})).unwrap();
        let names: Vec<&str> = choices.space.dimensions().iter().map(|one| one.name).collect();
        assert_eq!(names, ["learning_rate", "rank"]);
        let refused = check(json!({ "learning_rate": 1e-3, "rank": [8] })).err().unwrap();
        assert!(refused.message.contains("nothing to choose from"), "{refused:?}");
        assert!(check(json!({ "rank": { "from": 9, "to": 8 } })).is_err());
    }
}
