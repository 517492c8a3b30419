//! The corpus as the trainer's stream: the stage follows the tokens that were already seen.

use pelton_trainer::{Example, ExampleSource};

use crate::conversation::Conversation;
use crate::corpus::{Corpus, STAGES};
use crate::error::TinyError;
use crate::tokenizer::{BOS, EOS, TinyTokenizer};

/// The share of the token budget after which each stage ends.
const STAGE_ENDS: [f64; STAGES - 1] = [0.018, 0.06, 0.20, 0.301_679, 0.459_247, 0.592_580];

/// A stream of pretraining examples over a budget of tokens.
#[derive(Debug)]
pub struct CorpusSource {
    corpus: Corpus,
    tokenizer: TinyTokenizer,
    budget: u64,
    longest: usize,
    skipped: u64,
}

impl CorpusSource {
    /// The stream of `corpus` for a run over `budget` tokens, examples cut to `longest` tokens.
    #[must_use]
    pub fn new(corpus: Corpus, tokenizer: TinyTokenizer, budget: u64, longest: usize) -> Self {
        Self { corpus, tokenizer, budget, longest, skipped: 0 }
    }

    /// The stream as it goes on after `tokens` tokens of an earlier run.
    #[must_use]
    pub fn after(mut self, tokens: u64) -> Self {
        self.skipped = tokens;
        self
    }

    /// The stage after `tokens_seen` tokens.
    #[must_use]
    pub fn stage(&self, tokens_seen: u64) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "a share of a budget")]
        let done = (self.skipped + tokens_seen) as f64 / self.budget.max(1) as f64;
        STAGE_ENDS.iter().filter(|end| done >= **end).count()
    }
}

impl ExampleSource for CorpusSource {
    fn example(&self, index: u64, tokens_seen: u64) -> Example {
        // The corpus's own texts always encode; an empty example would only leave a gap in the batch.
        let mut example = self
            .corpus
            .example(&self.tokenizer, self.stage(tokens_seen), (self.skipped << 20) + index)
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
    items.iter().map(|item| tokenizer.encode(item, 0.0)).collect()
}
