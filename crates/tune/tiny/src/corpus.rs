//! The corpus: six stages from bare copies to full-size records, each item a pure function of its stage and
//! index.
//!
//! Finding what stood after or before an earlier occurrence decides everything else, so bare copies, forwards and
//! backwards, come first, and short: the time until the mechanism forms grows with the square of the context
//! length (arXiv 2511.01033). Then rows of bare ids, with names that are a class of tokens only once the mechanism
//! has formed, then the easiest texts.

use pelton_trainer::Example;

use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::error::TinyError;
use crate::split::{Split, draw_in_split};
use crate::tasks::raw::Mixture;
use crate::tasks::{LEVELS, Level, compare, copy, fill, intent, lookup, raw, select};
use crate::tokenizer::TinyTokenizer;

/// How many stages the curriculum has.
pub const STAGES: usize = 6;
/// The first stage that the tokenizer is trained on: the ones before have few kinds of texts.
pub const TOKENIZER_STAGES: std::ops::Range<usize> = 4..STAGES;
/// Shares of each task in [`Task::ALL`]'s order, a row for each stage.
const SHARES: [[f64; 7]; STAGES] = [
    // copy, lookup, select, bill, fill, compare, intent
    [1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    [1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    [1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    [0.08, 0.25, 0.00, 0.67, 0.00, 0.00, 0.00],
    [0.07, 0.17, 0.10, 0.46, 0.07, 0.03, 0.10],
    [0.06, 0.12, 0.14, 0.42, 0.10, 0.05, 0.11],
];
/// Shares of items that are bare token ids, taken before the tasks' shares.
const RAW: [f64; STAGES] = [1.0, 1.0, 1.0, 0.35, 0.12, 0.03];
/// What those are.
const RAW_MIXTURES: [Mixture; STAGES] = [
    Mixture { copied: 12, pairs: 3, rows: 0, fields: 0, shares: COPIES, letters: false },
    Mixture { copied: 12, pairs: 4, rows: 3, fields: 2, shares: MOSTLY_ROWS, letters: false },
    Mixture { copied: 20, pairs: 4, rows: 4, fields: 3, shares: MOSTLY_ROWS, letters: true },
    Mixture { copied: 20, pairs: 6, rows: 4, fields: 3, shares: EVEN, letters: true },
    Mixture { copied: 30, pairs: 6, rows: 6, fields: 3, shares: EVEN, letters: true },
    Mixture { copied: 40, pairs: 6, rows: 6, fields: 3, shares: EVEN, letters: true },
];
/// Shares of copies, reversed copies, pairs, pairs that are asked for, and rows, where copies are to form: rows
/// only add noise before they have.
const COPIES: [f64; 5] = [0.25, 0.3, 0.2, 0.25, 0.0];
/// The same where rows are to form.
const MOSTLY_ROWS: [f64; 5] = [0.05, 0.1, 0.05, 0.1, 0.7];
/// The same beside texts.
const EVEN: [f64; 5] = [0.2, 0.2, 0.1, 0.1, 0.4];
/// The largest level of the texts.
const TOP_LEVELS: [Level; STAGES] = [0, 0, 0, 1, 2, 3];
/// The most questions about one text.
const MOST_TURNS: [usize; STAGES] = [1, 1, 1, 8, 8, 6];
/// Shares of desk items that are drills.
const DRILLS: [f64; STAGES] = [0.0, 0.0, 0.0, 0.6, 0.5, 0.25];

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

    /// Item `index` of `stage`, as tokens with loss weights; some are random ids.
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
        if draw.chance(RAW[stage]) {
            return Ok(raw::item(&mut draw, RAW_MIXTURES[stage], tokenizer));
        }
        tokenizer.encode(&self.draw_conversation(&mut draw, stage))
    }

    fn draw_conversation(&self, draw: &mut Draw, stage: usize) -> Conversation {
        let task = Task::ALL[draw.weighted(&SHARES[stage])];
        let top = TOP_LEVELS[stage];
        let level = if draw.chance(0.6) { top } else { draw.below(top + 1) };
        // Several questions about one text teach more per token than one.
        let turns = draw.between(1, MOST_TURNS[stage]);
        if task == Task::Bill && draw.chance(DRILLS[stage]) {
            return draw_in_split(self.split, draw, |draw| select::drill(draw, level, turns));
        }
        draw_in_split(self.split, draw, |draw| make(draw, task, level, turns))
    }
}

fn make(draw: &mut Draw, task: Task, level: Level, turns: usize) -> Conversation {
    match task {
        Task::Copy => copy::copy(draw, level),
        Task::Lookup => lookup::lookup(draw, level, turns),
        Task::Select => select::select(draw, level, turns),
        Task::Bill => select::desk(draw, level, turns),
        Task::Fill => fill::fill(draw, level),
        Task::Compare => compare::compare(draw, level),
        Task::Intent => intent::intent(draw, level),
    }
}
