//! One update of the weights from their gradients.

use std::ops::Range;

use pelton_kernels::{AdamW, MuonScratch, adamw_step, orthogonalize};
use pelton_model::{Layout, Projection};

use crate::config::{Optimizer, TrainConfig};

/// A tensor inside the flat buffer of what is trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    range: Range<usize>,
    rows: usize,
    cols: usize,
    /// Whether weight decay applies: to linear layers.
    decays: bool,
    /// Whether Muon may take it: linear layers inside the decoder layers.
    hidden_matrix: bool,
}

impl Segment {
    /// An adapter is one segment.
    pub fn low_rank(len: usize) -> Vec<Self> {
        vec![Self { range: 0..len, rows: 1, cols: len, decays: true, hidden_matrix: false }]
    }

    /// The tensors of a model, in order and without gaps.
    pub fn of_layout(layout: &Layout) -> Vec<Self> {
        let tensors = layout.tensors().into_iter().map(|(name, span)| {
            let hidden_matrix = Projection::ALL
                .iter()
                .any(|projection| name.ends_with(&format!("{}.weight", projection.leaf())));
            Self {
                range: span.range(),
                rows: span.rows,
                cols: span.cols,
                decays: hidden_matrix || name.starts_with("lm_head"),
                hidden_matrix,
            }
        });
        let mut segments: Vec<Self> = tensors.collect();
        segments.sort_by_key(|segment| segment.range.start);
        segments
    }

    fn cost(&self, muon: bool) -> usize {
        let (small, large) = (self.rows.min(self.cols), self.rows.max(self.cols));
        let adam = self.range.len() * 8;
        if muon && self.hidden_matrix {
            adam + 10 * small * small * (2 * large + small) / 32
        } else {
            adam
        }
    }
}

/// Both moments; Muon keeps its momentum in the first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub mean: Vec<f32>,
    pub square: Vec<f32>,
}

/// One segment's slices.
struct Task<'a> {
    segment: &'a Segment,
    weights: &'a mut [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    gradient: &'a mut [f32],
}

/// The numbers of one update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    /// Share of the peak learning rate.
    pub rate_share: f64,
    /// What gradients are multiplied by: the mean over weights, and clipping.
    pub gradient_scale: f64,
    /// Updates so far, this one included.
    pub step: u64,
}

/// Updates `weights`; `gradient` is used up. Threads divide segments, so that the result does not
/// depend on their number.
pub(crate) fn update(
    segments: &[Segment],
    weights: &mut [f32],
    moments: &mut Moments,
    gradient: &mut [f32],
    config: &TrainConfig,
    step: Update,
) {
    let muon = matches!(config.optimizer, Optimizer::Muon { .. });
    let mut shares: Vec<Vec<Task<'_>>> = (0..config.threads).map(|_| Vec::new()).collect();
    let mut loads = vec![0; config.threads];
    for task in tasks(segments, weights, moments, gradient) {
        let least = (0..loads.len()).min_by_key(|&thread| loads[thread]).unwrap_or(0);
        loads[least] += task.segment.cost(muon);
        shares[least].push(task);
    }
    let run = |share: Vec<Task<'_>>| {
        let mut scratch = MuonScratch::default();
        share.into_iter().for_each(|task| task.run(config, step, &mut scratch));
    };
    std::thread::scope(|scope| {
        let mut shares = shares.into_iter();
        let own = shares.next();
        for share in shares.filter(|share| !share.is_empty()) {
            scope.spawn(move || run(share));
        }
        if let Some(own) = own {
            run(own);
        }
    });
}

fn tasks<'a>(
    segments: &'a [Segment],
    mut weights: &'a mut [f32],
    moments: &'a mut Moments,
    mut gradient: &'a mut [f32],
) -> Vec<Task<'a>> {
    let (mut mean, mut square) = (moments.mean.as_mut_slice(), moments.square.as_mut_slice());
    let mut tasks = Vec::new();
    for segment in segments {
        let len = segment.range.len();
        let cut = |slice: &mut &'a mut [f32]| -> &'a mut [f32] {
            let (head, tail) = std::mem::take(slice).split_at_mut(len);
            *slice = tail;
            head
        };
        tasks.push(Task {
            segment,
            weights: cut(&mut weights),
            mean: cut(&mut mean),
            square: cut(&mut square),
            gradient: cut(&mut gradient),
        });
    }
    tasks
}

impl Task<'_> {
    fn run(self, config: &TrainConfig, step: Update, scratch: &mut MuonScratch<f32>) {
        let weight_decay = if self.segment.decays { config.weight_decay } else { 0.0 };
        if let Optimizer::Muon { learning_rate, momentum } = config.optimizer
            && self.segment.hidden_matrix
        {
            return self.run_muon(learning_rate, momentum, weight_decay, step, scratch);
        }
        let numbers = AdamW {
            learning_rate: config.learning_rate * step.rate_share,
            beta1: config.betas[0],
            beta2: config.betas[1],
            epsilon: config.epsilon,
            weight_decay,
            step: step.step,
        };
        adamw_step(
            self.weights,
            self.mean,
            self.square,
            self.gradient,
            step.gradient_scale,
            &numbers,
        );
    }

    /// Nesterov momentum, orthogonalized; tall matrices move more, so that each row does alike.
    fn run_muon(
        self,
        learning_rate: f64,
        momentum: f64,
        weight_decay: f64,
        step: Update,
        scratch: &mut MuonScratch<f32>,
    ) {
        let (momentum, scale) = (momentum as f32, step.gradient_scale as f32);
        for (gradient, mean) in self.gradient.iter_mut().zip(self.mean.iter_mut()) {
            let scaled = *gradient * scale;
            *mean = momentum * *mean + scaled;
            *gradient = momentum * *mean + scaled;
        }
        let Segment { rows, cols, .. } = *self.segment;
        orthogonalize(self.gradient, rows, cols, scratch);
        let rate = learning_rate * step.rate_share;
        let keep = (1.0 - rate * weight_decay) as f32;
        let rate = (rate * (rows as f64 / cols as f64).max(1.0).sqrt()) as f32;
        for (weight, direction) in self.weights.iter_mut().zip(self.gradient.iter()) {
            *weight = *weight * keep - rate * direction;
        }
    }
}
