//! The corpus: seven stages from bare copies to full-size records, each item a pure function of its
//! stage and index.
//!
//! Induction (continuing what stood after an earlier occurrence) decides everything else, so dense copies
//! come first, and short: the time until it forms grows with the square of the context length
//! (arXiv 2511.01033).

use pelton_trainer::Example;

use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::error::TinyError;
use crate::split::{Split, draw_in_split};
use crate::tasks::{LEVELS, Level, compare, copy, fill, intent, lookup, select};
use crate::tokenizer::{ASSISTANT, BOS, EOS, TinyTokenizer, USER, extend, push};

/// How many stages the curriculum has.
pub const STAGES: usize = 7;
/// The stages whose items the tokenizer is trained on: those before the desks.
pub const TOKENIZER_STAGES: usize = 5;
/// The weight of context tokens in the loss: they are mostly random values, which nothing can predict.
pub const CONTEXT_WEIGHT: f32 = 0.125;

/// The share of context tokens that have a loss at all.
const CONTEXT_SHARE: f64 = 0.25;

/// Shares of each task in [`Task::ALL`]'s order, a row for each stage.
const SHARES: [[f64; 7]; STAGES] = [
    // copy, lookup, select, bill, fill, compare, intent
    [0.40, 0.40, 0.10, 0.00, 0.02, 0.02, 0.06],
    [0.40, 0.40, 0.10, 0.00, 0.02, 0.02, 0.06],
    [0.22, 0.28, 0.20, 0.08, 0.09, 0.04, 0.09],
    [0.10, 0.18, 0.26, 0.18, 0.11, 0.06, 0.11],
    [0.06, 0.13, 0.27, 0.23, 0.11, 0.07, 0.13],
    [0.12, 0.12, 0.08, 0.53, 0.05, 0.04, 0.06],
    [0.10, 0.13, 0.10, 0.48, 0.06, 0.04, 0.09],
];
/// Shares of items that are random token ids to repeat, taken before the tasks' shares.
const RAW_COPY: [f64; STAGES] = [1.0, 0.30, 0.08, 0.02, 0.01, 0.02, 0.02];

/// The corpus under one seed.
#[derive(Debug, Clone, Copy)]
pub struct Corpus {
    seed: u64,
    split: Split,
}

impl Corpus {
    /// The corpus of `split` under `seed`.
    #[must_use]
    pub fn new(seed: u64, split: Split) -> Self {
        Self { seed, split }
    }

    /// Item `index` of `stage`, as a conversation.
    #[must_use]
    pub fn conversation(&self, stage: usize, index: u64) -> Conversation {
        let mut draw = Draw::at(self.seed, self.split.stream(), index);
        self.draw_conversation(&mut draw, stage)
    }

    /// Item `index` of `task` at full size, one question, as gates measure it.
    #[must_use]
    pub fn single(&self, task: Task, index: u64) -> Conversation {
        let mut draw = Draw::at(self.seed, self.split.stream() + 16 * (1 + task as u64), index);
        let level = draw.between(1, LEVELS - 1);
        draw_in_split(self.split, &mut draw, |draw| make(draw, task, level, 1))
    }

    /// Item `index` of `stage`, as tokens with loss weights; some are random ids to repeat.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn example(
        &self,
        tokenizer: &TinyTokenizer,
        stage: usize,
        index: u64,
    ) -> Result<Example, TinyError> {
        let mut draw = Draw::at(self.seed, self.split.stream(), index);
        if draw.chance(RAW_COPY[stage]) {
            return Ok(raw_copy(&mut draw, stage, tokenizer.vocab_size()));
        }
        let item = self.draw_conversation(&mut draw, stage);
        let mut example = tokenizer.encode(&item, CONTEXT_WEIGHT)?;
        // A part of the context with more weight teaches the same and saves most of the head's work.
        for weight in example.loss_weights.iter_mut().filter(|weight| **weight == CONTEXT_WEIGHT) {
            *weight = if draw.chance(CONTEXT_SHARE) {
                CONTEXT_WEIGHT / CONTEXT_SHARE as f32
            } else {
                0.0
            };
        }
        Ok(example)
    }

    fn draw_conversation(&self, draw: &mut Draw, stage: usize) -> Conversation {
        let task = Task::ALL[draw.weighted(&SHARES[stage])];
        let top = stage.saturating_sub(1).min(LEVELS - 1);
        let level = if draw.chance(0.6) { top } else { draw.below(top + 1) };
        // Several questions about one text teach more per token than one.
        let turns = 1 + draw.weighted(&[0.4, 0.2, 0.2, 0.2]);
        if stage >= TOKENIZER_STAGES && task == Task::Bill && draw.chance(0.9) {
            let shuffled = stage > TOKENIZER_STAGES;
            let turns = if shuffled { draw.between(1, 4) } else { draw.between(2, 5) };
            return draw_in_split(self.split, draw, |draw| select::desk(draw, turns, shuffled));
        }
        draw_in_split(self.split, draw, |draw| make(draw, task, level, turns))
    }
}

fn make(draw: &mut Draw, task: Task, level: Level, turns: usize) -> Conversation {
    match task {
        Task::Copy => copy::copy(draw, level),
        Task::Lookup => lookup::lookup(draw, level, turns),
        Task::Select => select::select(draw, level, turns),
        Task::Bill => select::bill(draw, level, turns),
        Task::Fill => fill::fill(draw, level),
        Task::Compare => compare::compare(draw, level),
        Task::Intent => intent::intent(draw, level),
    }
}

/// Random different ids, then the same again: nothing but induction predicts the second half.
fn raw_copy(draw: &mut Draw, stage: usize, vocab: usize) -> Example {
    let count = draw.between(4, [12, 16, 24, 32, 40, 40, 40][stage]);
    let first = crate::tokenizer::SPECIAL.len();
    let ids = draw.distinct(count, |draw| draw.between(first, vocab - 1));
    let ids: Vec<u32> = ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
    let mut example = Example { tokens: vec![BOS, USER], loss_weights: vec![0.0, 0.0] };
    extend(&mut example, ids.clone(), 0.0);
    push(&mut example, ASSISTANT, 0.0);
    extend(&mut example, ids, 1.0);
    push(&mut example, EOS, 1.0);
    example
}
