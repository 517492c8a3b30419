//! The data of a run, checked before it starts.

use std::sync::Arc;

use pelton_model::DecoderConfig;

use crate::batches::shuffled;
use crate::config::{RunLength, TrainConfig};
use crate::{Example, ExampleSource, Preference, TeacherTargets, TrainError};

/// What a run learns from.
#[derive(Clone)]
pub struct TrainData {
    /// The task.
    pub source: Source,
    /// Examples of what the base can already do, mixed in against forgetting.
    pub rehearsal: Vec<Example>,
    /// Held-out examples; when empty, `validation_fraction` of the task's are held out.
    pub validation: Vec<Example>,
    /// A teacher's soft targets, one entry for each example of the source; or none at all.
    pub teacher: Vec<TeacherTargets>,
}

/// An example with all that belongs to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub example: &'a Example,
    /// The worse answer, where `example` is the better one of a pair.
    pub rejected: Option<&'a Example>,
    pub teacher: Option<&'a TeacherTargets>,
}

impl<'a> Item<'a> {
    pub fn plain(example: &'a Example) -> Self {
        Self { example, rejected: None, teacher: None }
    }

    pub fn tokens(self) -> usize {
        self.example.tokens.len() + self.rejected.map_or(0, |rejected| rejected.tokens.len())
    }
}

/// Where the task's examples come from.
#[derive(Clone)]
pub enum Source {
    /// A set, in epochs.
    Examples(Vec<Example>),
    /// A set of pairs, in epochs: direct preference optimization.
    Preferences(Vec<Preference>),
    /// An endless stream.
    Stream(Arc<dyn ExampleSource>),
}

impl TrainData {
    /// A set without rehearsal; validation comes out of it.
    #[must_use]
    pub fn examples(examples: Vec<Example>) -> Self {
        Self::of(Source::Examples(examples))
    }

    /// A set of pairs; validation comes out of it.
    #[must_use]
    pub fn preferences(pairs: Vec<Preference>) -> Self {
        Self::of(Source::Preferences(pairs))
    }

    fn of(source: Source) -> Self {
        Self { source, rehearsal: Vec::new(), validation: Vec::new(), teacher: Vec::new() }
    }

    /// A stream with its own validation set.
    #[must_use]
    pub fn stream(source: Arc<dyn ExampleSource>, validation: Vec<Example>) -> Self {
        Self { validation, ..Self::of(Source::Stream(source)) }
    }

    /// The examples of a set; none of a stream or of pairs.
    #[must_use]
    pub fn training(&self) -> &[Example] {
        match &self.source {
            Source::Examples(examples) => examples,
            Source::Preferences(_) | Source::Stream(_) => &[],
        }
    }

    /// Number of examples or pairs of a set; zero for a stream.
    #[must_use]
    pub fn examples_or_pairs(&self) -> usize {
        match &self.source {
            Source::Examples(examples) => examples.len(),
            Source::Preferences(pairs) => pairs.len(),
            Source::Stream(_) => 0,
        }
    }

    /// One example or pair of a set; a stream has none.
    pub(crate) fn item(&self, index: usize) -> Option<Item<'_>> {
        match &self.source {
            Source::Preferences(pairs) => {
                let Preference { chosen, rejected } = pairs.get(index)?;
                Some(Item { example: chosen, rejected: Some(rejected), teacher: None })
            }
            Source::Examples(examples) => {
                Some(Item { teacher: self.teacher.get(index), ..Item::plain(examples.get(index)?) })
            }
            Source::Stream(_) => None,
        }
    }

    pub(crate) fn check(
        &self,
        model: &DecoderConfig,
        config: &TrainConfig,
    ) -> Result<(), TrainError> {
        let invalid = |message: &str| Err(TrainError::InvalidConfig(message.into()));
        match &self.source {
            Source::Examples(examples) => {
                if examples.is_empty() {
                    return invalid("there are no examples to train on");
                }
                check_examples("training", examples, model)?;
            }
            Source::Preferences(_) if config.rehearsal_fraction > 0.0 => {
                return invalid("pairs are not mixed with rehearsal: set rehearsal_fraction to 0");
            }
            Source::Preferences(_) if !self.validation.is_empty() => {
                return invalid("pairs are validated on pairs: set validation_fraction instead");
            }
            Source::Preferences(pairs) => {
                if pairs.is_empty() {
                    return invalid("there are no pairs to train on");
                }
                for (index, Preference { chosen, rejected }) in pairs.iter().enumerate() {
                    for (set, example) in [("chosen", chosen), ("rejected", rejected)] {
                        check_example(set, index as u64, example, model)?;
                        check_answer(set, index as u64, example)?;
                    }
                }
            }
            Source::Stream(_) if config.rehearsal_fraction > 0.0 => {
                return invalid("a stream mixes its own rehearsal; set rehearsal_fraction to 0");
            }
            Source::Stream(_) if matches!(config.length, RunLength::Epochs(_)) => {
                return invalid("a stream has no epochs; give steps or tokens");
            }
            Source::Stream(_) => {}
        }
        if config.rehearsal_fraction > 0.0 && self.rehearsal.is_empty() {
            return invalid("rehearsal_fraction is set, but there are no rehearsal examples");
        }
        self.check_teacher(model)?;
        check_examples("rehearsal", &self.rehearsal, model)?;
        check_examples("validation", &self.validation, model)
    }

    fn check_teacher(&self, model: &DecoderConfig) -> Result<(), TrainError> {
        if self.teacher.is_empty() {
            return Ok(());
        }
        let Source::Examples(examples) = &self.source else {
            return Err(TrainError::InvalidConfig("only examples can have a teacher".into()));
        };
        if examples.len() != self.teacher.len() {
            return Err(TrainError::InvalidConfig(format!(
                "{} examples, but a teacher's targets for {}",
                examples.len(),
                self.teacher.len()
            )));
        }
        for (index, (example, teacher)) in examples.iter().zip(&self.teacher).enumerate() {
            let reason = if teacher.len() != example.tokens.len() {
                format!("{} tokens, but soft targets for {}", example.tokens.len(), teacher.len())
            } else if teacher.tokens.iter().any(|token| *token as usize >= model.vocab_size) {
                "a soft target is a token that the model does not have".into()
            } else if teacher
                .log_probabilities
                .iter()
                .any(|value| !(value.is_finite() && *value <= 0.0))
            {
                "the logarithm of a soft target's probability is positive or not a number".into()
            } else {
                continue;
            };
            return Err(TrainError::InvalidExample {
                set: "training",
                index: index as u64,
                reason,
            });
        }
        Ok(())
    }

    /// The indices to train on, and the held-out examples.
    pub(crate) fn split(&self, config: &TrainConfig) -> (Vec<u32>, Vec<Item<'_>>) {
        let given = || self.validation.iter().map(Item::plain).collect();
        let count = self.examples_or_pairs();
        let all: Vec<u32> = (0..count as u32).collect();
        if count == 0 || !self.validation.is_empty() || config.validation_fraction == 0.0 {
            return (all, given());
        }
        let mut order = shuffled(&all, config.seed, u64::MAX);
        let held_out = (count as f64 * config.validation_fraction).round() as usize;
        // At least one example must be left to train on.
        let mut train = order.split_off(held_out.min(count - 1));
        train.sort_unstable();
        // Held-out examples are judged by their tokens alone.
        let held_out = order.iter().filter_map(|index| self.item(*index as usize));
        (train, held_out.map(|item| Item { teacher: None, ..item }).collect())
    }
}

/// Refuses an answer without a token that counts.
fn check_answer(set: &'static str, index: u64, example: &Example) -> Result<(), TrainError> {
    if example.loss_weights.iter().skip(1).all(|weight| *weight == 0.0) {
        let reason = "no token has a loss weight, so that there is no answer".into();
        return Err(TrainError::InvalidExample { set, index, reason });
    }
    Ok(())
}

fn check_examples(
    set: &'static str,
    examples: &[Example],
    model: &DecoderConfig,
) -> Result<(), TrainError> {
    for (index, example) in examples.iter().enumerate() {
        check_example(set, index as u64, example, model)?;
    }
    Ok(())
}

/// Refuses what the decoder cannot pass through.
pub(crate) fn check_example(
    set: &'static str,
    index: u64,
    example: &Example,
    model: &DecoderConfig,
) -> Result<(), TrainError> {
    let invalid = |reason: String| Err(TrainError::InvalidExample { set, index, reason });
    let (tokens, weights) = (&example.tokens, &example.loss_weights);
    if tokens.len() != weights.len() {
        return invalid(format!("{} tokens but {} weights", tokens.len(), weights.len()));
    }
    if tokens.len() < 2 {
        return invalid(format!("{} tokens, but two are the least to learn from", tokens.len()));
    }
    if tokens.len() > model.max_position_embeddings {
        return invalid(format!(
            "{} tokens, but the model takes {}",
            tokens.len(),
            model.max_position_embeddings
        ));
    }
    if let Some(token) = tokens.iter().find(|token| **token as usize >= model.vocab_size) {
        return invalid(format!("token {token} is not among the {}", model.vocab_size));
    }
    if weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        return invalid("a loss weight is negative or not a number".into());
    }
    Ok(())
}
