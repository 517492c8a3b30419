//! The corpus as the trainer's stream: the stage follows the tokens that were already seen.

use pelton_trainer::{Example, ExampleSource};

use crate::conversation::Conversation;
use crate::corpus::Corpus;
use crate::error::TinyError;
use crate::tokenizer::{BOS, EOS, TinyTokenizer};

/// A stream of pretraining examples.
#[derive(Debug)]
pub struct CorpusSource {
    corpus: Corpus,
    tokenizer: TinyTokenizer,
    stages: Vec<(u64, usize)>,
    first_item: u64,
    longest: usize,
}

impl CorpusSource {
    /// The stream of `corpus` from `first_item` on, examples cut to `longest` tokens; `stages` says from how many
    /// tokens on which stage is due.
    #[must_use]
    pub fn new(
        corpus: Corpus,
        tokenizer: TinyTokenizer,
        stages: Vec<(u64, usize)>,
        first_item: u64,
        longest: usize,
    ) -> Self {
        Self { corpus, tokenizer, stages, first_item, longest }
    }

    /// The stage after `tokens_seen` tokens.
    #[must_use]
    pub fn stage(&self, tokens_seen: u64) -> usize {
        let due = self.stages.iter().rev().find(|(from, _)| tokens_seen >= *from);
        due.map_or(0, |(_, stage)| *stage)
    }
}

impl ExampleSource for CorpusSource {
    fn example(&self, index: u64, tokens_seen: u64) -> Example {
        // The corpus's own texts always encode; an empty example would only leave a gap in the batch.
        let mut example = self
            .corpus
            .example(&self.tokenizer, self.stage(tokens_seen), self.first_item + index)
            .unwrap_or_else(|_| Example::uniform(vec![BOS, EOS]));
        example.tokens.truncate(self.longest);
        example.loss_weights.truncate(self.longest);
        example
    }
}

/// Items as answer-only examples, as fine-tuning wants them.
///
/// # Errors
/// The tokenizer's.
pub fn answer_only(
    tokenizer: &TinyTokenizer,
    items: &[Conversation],
) -> Result<Vec<Example>, TinyError> {
    items.iter().map(|item| tokenizer.encode(item)).collect()
}
