//! The data of a run, checked before it starts.

use std::sync::Arc;

use pelton_model::DecoderConfig;

use crate::batches::shuffled;
use crate::config::{RunLength, TrainConfig};
use crate::{Example, ExampleSource, TrainError};

/// What a run learns from.
#[derive(Clone)]
pub struct TrainData {
    /// The task.
    pub source: Source,
    /// Examples of what the base can already do, mixed in against forgetting.
    pub rehearsal: Vec<Example>,
    /// Held-out examples; when empty, `validation_fraction` of the task's are held out.
    pub validation: Vec<Example>,
}

/// Where the task's examples come from.
#[derive(Clone)]
pub enum Source {
    /// A set, in epochs.
    Examples(Vec<Example>),
    /// An endless stream.
    Stream(Arc<dyn ExampleSource>),
}

impl TrainData {
    /// A set without rehearsal; validation comes out of it.
    #[must_use]
    pub fn examples(examples: Vec<Example>) -> Self {
        Self { source: Source::Examples(examples), rehearsal: Vec::new(), validation: Vec::new() }
    }

    /// A stream with its own validation set.
    #[must_use]
    pub fn stream(source: Arc<dyn ExampleSource>, validation: Vec<Example>) -> Self {
        Self { source: Source::Stream(source), rehearsal: Vec::new(), validation }
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
        check_examples("rehearsal", &self.rehearsal, model)?;
        check_examples("validation", &self.validation, model)
    }

    /// The indices to train on, and the held-out examples.
    pub(crate) fn split(&self, config: &TrainConfig) -> (Vec<u32>, Vec<&Example>) {
        let Source::Examples(examples) = &self.source else {
            return (Vec::new(), self.validation.iter().collect());
        };
        let all: Vec<u32> = (0..examples.len() as u32).collect();
        if !self.validation.is_empty() || config.validation_fraction == 0.0 {
            return (all, self.validation.iter().collect());
        }
        let mut order = shuffled(&all, config.seed, u64::MAX);
        let held_out = (examples.len() as f64 * config.validation_fraction).round() as usize;
        // At least one example must be left to train on.
        let mut train = order.split_off(held_out.min(examples.len() - 1));
        train.sort_unstable();
        (train, order.iter().map(|index| &examples[*index as usize]).collect())
    }
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
