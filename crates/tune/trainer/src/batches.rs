//! Which examples each step sees: a pure function of the data and the settings.

use pelton_model::SeededNormal;

use crate::config::{RunLength, TrainConfig};
use crate::data::{Item, Source, TrainData};
use crate::{Example, ExampleSource};

/// One example of a step.
#[derive(Debug, Clone)]
pub(crate) struct BatchItem<'a> {
    pub example: Drawn<'a>,
    pub rehearsal: bool,
}

/// An example of a set, or one that a stream made.
#[derive(Debug, Clone)]
pub(crate) enum Drawn<'a> {
    Given(Item<'a>),
    Made(Example),
}

impl Drawn<'_> {
    pub fn item(&self) -> Item<'_> {
        match self {
            Self::Given(item) => *item,
            Self::Made(example) => Item::plain(example),
        }
    }
}

/// Where a stream stands: examples and tokens handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub step: u64,
    pub tokens: u64,
    pub next_index: u64,
}

/// The batches of a run.
pub(crate) enum Batches<'a> {
    /// All steps, planned ahead.
    Planned { data: &'a TrainData, steps: Vec<Vec<Planned>> },
    /// As a stream yields them.
    Streamed { source: &'a dyn ExampleSource, batch_tokens: usize, length: RunLength },
}

/// A planned example: an index into the training or the rehearsal set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub rehearsal: bool,
    pub index: u32,
}

impl<'a> Batches<'a> {
    /// `train` are the examples of a set that are not held out.
    pub fn new(data: &'a TrainData, train: &[u32], config: &TrainConfig) -> Self {
        match &data.source {
            Source::Examples(_) | Source::Preferences(_) => {
                let steps = plan(data, train, config);
                Self::Planned { data, steps }
            }
            Source::Stream(source) => Self::Streamed {
                source: source.as_ref(),
                batch_tokens: config.batch_tokens,
                length: config.length,
            },
        }
    }

    /// Share of the run that is behind.
    pub fn done(&self, position: Position) -> f64 {
        match self {
            Self::Planned { steps, .. } => position.step as f64 / steps.len().max(1) as f64,
            Self::Streamed { length, .. } => match length {
                RunLength::Tokens(tokens) => position.tokens as f64 / (*tokens).max(1) as f64,
                RunLength::Steps(steps) | RunLength::Epochs(steps) => {
                    position.step as f64 / (*steps).max(1) as f64
                }
            },
        }
    }

    /// Steps in all, estimated for a stream that ends after a number of tokens.
    pub fn total_steps(&self, position: Position) -> u64 {
        match self {
            Self::Planned { steps, .. } => steps.len() as u64,
            Self::Streamed { length: RunLength::Tokens(tokens), batch_tokens, .. } => {
                let per_step = if position.step == 0 {
                    *batch_tokens as f64
                } else {
                    position.tokens as f64 / position.step as f64
                };
                (*tokens as f64 / per_step.max(1.0)).ceil() as u64
            }
            Self::Streamed {
                length: RunLength::Steps(steps) | RunLength::Epochs(steps), ..
            } => *steps,
        }
    }

    /// The examples of the step at `position`; none when the run is over.
    pub fn at(&self, position: Position) -> Option<Vec<BatchItem<'a>>> {
        match self {
            Self::Planned { data, steps, .. } => {
                let step = steps.get(usize::try_from(position.step).ok()?)?;
                Some(step.iter().filter_map(|planned| lookup(data, *planned)).collect())
            }
            Self::Streamed { source, batch_tokens, .. } => {
                if self.done(position) >= 1.0 {
                    return None;
                }
                let mut items = Vec::new();
                let mut tokens = 0;
                while tokens < *batch_tokens {
                    let index = position.next_index + items.len() as u64;
                    let example = source.example(index, position.tokens);
                    // An empty example still takes a place, so that the loop ends.
                    tokens += example.tokens.len().max(1);
                    items.push(BatchItem { example: Drawn::Made(example), rehearsal: false });
                }
                Some(items)
            }
        }
    }
}

/// Tokens that a run over a set has seen after each of its steps, rehearsal included: exactly what it will cost.
/// None for a stream.
#[must_use]
pub fn planned_tokens(data: &TrainData, config: &TrainConfig) -> Vec<u64> {
    if matches!(data.source, Source::Stream(_)) {
        return Vec::new();
    }
    let (train, _) = data.split(config);
    let tokens = |planned: &Planned| {
        lookup(data, *planned).map_or(0, |item| item.example.item().tokens() as u64)
    };
    plan(data, &train, config)
        .iter()
        .scan(0, |seen, step| {
            *seen += step.iter().map(tokens).sum::<u64>();
            Some(*seen)
        })
        .collect()
}

fn lookup(data: &TrainData, planned: Planned) -> Option<BatchItem<'_>> {
    let Planned { rehearsal, index } = planned;
    let index = index as usize;
    let item =
        if rehearsal { data.rehearsal.get(index).map(Item::plain) } else { data.item(index) };
    Some(BatchItem { example: Drawn::Given(item?), rehearsal })
}

/// Indices in a seeded random order.
pub(crate) fn shuffled(indices: &[u32], seed: u64, round: u64) -> Vec<u32> {
    let mut order = indices.to_vec();
    let mut random = SeededNormal::new(seed ^ round.wrapping_mul(0xd134_2543_de82_ef95));
    for last in (1..order.len()).rev() {
        let other = (random.bits() % (last as u64 + 1)) as usize;
        order.swap(last, other);
    }
    order
}

fn plan(data: &TrainData, train: &[u32], config: &TrainConfig) -> Vec<Vec<Planned>> {
    let rehearsal = data.rehearsal.as_slice();
    let tokens_of = |index: u32| data.item(index as usize).map_or(0, Item::tokens);
    let epoch_tokens: usize = train.iter().map(|index| tokens_of(*index)).sum();
    if epoch_tokens == 0 {
        return Vec::new();
    }
    // Steps of one epoch are of equal size, so that none has a few leftovers only.
    let own_share = 1.0 - if rehearsal.is_empty() { 0.0 } else { config.rehearsal_fraction };
    let own_tokens = (config.batch_tokens as f64 * own_share).max(1.0);
    let per_epoch = (epoch_tokens as f64 / own_tokens).round().max(1.0);
    let target = epoch_tokens as f64 / per_epoch;
    let mut mixer = RehearsalMixer::new(rehearsal, config);
    let mut steps = Vec::new();
    let mut planned_tokens = 0_u64;
    for epoch in 0.. {
        let mut batch = Vec::new();
        let (mut seen, mut cut) = (0.0, target);
        let order = shuffled(train, config.seed, epoch);
        for (place, &index) in order.iter().enumerate() {
            batch.push(Planned { rehearsal: false, index });
            seen += tokens_of(index) as f64;
            let last = place + 1 == order.len();
            if seen + 0.5 < cut && !last {
                continue;
            }
            cut += target;
            let own: usize = batch.iter().map(|planned| tokens_of(planned.index)).sum();
            let mixed = mixer.add(&mut batch, own);
            steps.push(std::mem::take(&mut batch));
            planned_tokens += (own + mixed) as u64;
            let over = match config.length {
                RunLength::Epochs(_) => false,
                RunLength::Steps(count) => steps.len() as u64 >= count,
                RunLength::Tokens(count) => planned_tokens >= count,
            };
            if over {
                return steps;
            }
        }
        if let RunLength::Epochs(count) = config.length
            && epoch + 1 >= count
        {
            break;
        }
    }
    steps
}

/// Draws rehearsal examples in shuffled rounds, so that all come up equally often.
struct RehearsalMixer<'a> {
    rehearsal: &'a [Example],
    fraction: f64,
    seed: u64,
    round: u64,
    order: Vec<u32>,
    owed: f64,
}

impl<'a> RehearsalMixer<'a> {
    fn new(rehearsal: &'a [Example], config: &TrainConfig) -> Self {
        let fraction = if rehearsal.is_empty() { 0.0 } else { config.rehearsal_fraction };
        let seed = config.seed ^ 0x5eed;
        Self { rehearsal, fraction, seed, round: 0, order: Vec::new(), owed: 0.0 }
    }

    /// Adds what belongs to `own` tokens of the task and returns its tokens. What one step has too
    /// much or too little is settled with the next.
    fn add(&mut self, batch: &mut Vec<Planned>, own: usize) -> usize {
        if self.fraction == 0.0 {
            return 0;
        }
        self.owed += own as f64 * self.fraction / (1.0 - self.fraction);
        let mut added = 0;
        while self.owed > 0.0 {
            if self.order.is_empty() {
                let all: Vec<u32> = (0..self.rehearsal.len() as u32).collect();
                self.order = shuffled(&all, self.seed, self.round);
                self.round += 1;
            }
            let Some(index) = self.order.pop() else { break };
            let tokens = self.rehearsal[index as usize].tokens.len();
            batch.push(Planned { rehearsal: true, index });
            self.owed -= tokens.max(1) as f64;
            added += tokens;
        }
        added
    }
}
