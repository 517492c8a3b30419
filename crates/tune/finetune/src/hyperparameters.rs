//! Every number of a run: what was asked for, and the defaults for the rest.

use crate::{FinetuneMethod, FinetuneSpec, Targets};
use serde::Serialize;

/// What holds where the request says nothing. Chosen on development data of the telco desk.
mod defaults {
    pub const RANK: u32 = 16;
    pub const LEARNING_RATE: f64 = 1e-3;
    /// All weights move together and need smaller steps than an adapter.
    pub const FULL_LEARNING_RATE: f64 = 1e-4;
    /// Pairs pull harder than answers: a sum over all their tokens moves at once.
    pub const PREFERENCE_LEARNING_RATE: f64 = 2e-4;
    pub const PREFERENCE_EPOCHS: f64 = 3.0;
    /// Pairs from which on some are held out.
    pub const HOLD_OUT_FROM: u64 = 20;
    pub const HELD_OUT: f64 = 0.1;
    pub const DISTILLATION_WEIGHT: f64 = 0.5;
    pub const TEMPERATURE: f64 = 2.0;
    pub const BETA: f64 = 0.1;
    pub const BATCH_TOKENS: u32 = 1_024;
    pub const REHEARSAL: f64 = 0.4;
    pub const KL_TO_BASE: f64 = 1.0;
    /// Passes over few rows; many rows need fewer.
    pub const MOST_EPOCHS: f64 = 10.0;
    /// Rows seen in all, about: few rows are passed over more often.
    pub const ROWS_SEEN: f64 = 2_000.0;
    pub const LEAST_EPOCHS: f64 = 4.0;
    /// Validations without improvement after which training stops.
    pub const PATIENCE: u32 = 5;
    pub const WARMUP_STEPS: u64 = 10;
}

/// What there is to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingRows {
    /// Examples or pairs, held-out pairs among them.
    pub examples: u64,
    /// Whether a validation split is given.
    pub validates: bool,
    /// Whether examples of what the base can already do can be mixed in.
    pub rehearses: bool,
}

/// The numbers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hyperparameters {
    /// LoRA rank.
    pub rank: u32,
    /// The linear layers that get a low-rank pair.
    pub targets: Targets,
    /// LoRA alpha.
    pub alpha: f64,
    /// Whether the scale is `alpha / √rank` instead of `alpha / rank`.
    pub rank_stabilized: bool,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Steps of the linear rise; the rate falls linearly to zero over the run.
    pub warmup_steps: u64,
    /// Decay of AdamW's two moments.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
    /// Tokens of one step, about.
    pub batch_tokens: u32,
    /// Passes over the examples.
    pub epochs: u64,
    /// Seed of the order of examples and of an adapter's first weights.
    pub seed: u64,
    /// Validations without improvement after which the run stops, where there is something to validate on.
    pub patience: Option<u32>,
    /// Share of the pairs that is held out.
    pub held_out: f64,
    /// Share of a step's tokens that come from what the base can already do.
    pub rehearsal: f64,
    /// Weight of the KL divergence from the base on them.
    pub kl_to_base: f64,
    /// For pairs: how strongly the model is held to the base.
    pub preference_beta: f64,
    /// The teacher's share of the loss.
    pub distillation_weight: f64,
    /// Temperature of the teacher's and the student's distributions.
    pub distillation_temperature: f64,
}

impl Hyperparameters {
    /// What `spec` means on these rows.
    #[must_use]
    pub fn of(spec: &FinetuneSpec, rows: TrainingRows) -> Self {
        let pairs = spec.preferences.is_some();
        let full = spec.method == FinetuneMethod::Full;
        let rank = spec.rank.unwrap_or(defaults::RANK);
        let learning_rate = match (full, pairs) {
            (true, _) => defaults::FULL_LEARNING_RATE,
            (false, true) => defaults::PREFERENCE_LEARNING_RATE,
            (false, false) => defaults::LEARNING_RATE,
        };
        let holds_out = pairs && rows.examples >= defaults::HOLD_OUT_FROM;
        // The divergence needs the base unchanged beside what is trained.
        let kl_to_base = spec.kl_to_base.unwrap_or(if full { 0.0 } else { defaults::KL_TO_BASE });
        let rehearsal = spec.rehearsal.unwrap_or(defaults::REHEARSAL);
        Self {
            rank,
            targets: spec.targets.unwrap_or_default(),
            alpha: f64::from(spec.alpha.unwrap_or(2 * rank)),
            rank_stabilized: false,
            learning_rate: spec.learning_rate.unwrap_or(learning_rate),
            warmup_steps: defaults::WARMUP_STEPS,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            batch_tokens: spec.batch_tokens.unwrap_or(defaults::BATCH_TOKENS),
            epochs: epochs(spec, rows.examples),
            seed: spec.seed,
            patience: (rows.validates || holds_out).then_some(defaults::PATIENCE),
            held_out: if holds_out { defaults::HELD_OUT } else { 0.0 },
            rehearsal: if rows.rehearses { rehearsal } else { 0.0 },
            kl_to_base: if rows.rehearses { kl_to_base } else { 0.0 },
            preference_beta: spec.preference_beta.unwrap_or(defaults::BETA),
            distillation_weight: spec.distillation_weight.unwrap_or(defaults::DISTILLATION_WEIGHT),
            distillation_temperature: spec
                .distillation_temperature
                .unwrap_or(defaults::TEMPERATURE),
        }
    }

    /// Whether `spec` wants examples of base tasks where there are any: pairs hold to the base by themselves.
    #[must_use]
    pub fn wants_rehearsal(spec: &FinetuneSpec) -> bool {
        spec.rehearsal.unwrap_or(defaults::REHEARSAL) > 0.0 && spec.preferences.is_none()
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of epochs"
)]
fn epochs(spec: &FinetuneSpec, examples: u64) -> u64 {
    let epochs = spec.epochs.unwrap_or_else(|| {
        if spec.preferences.is_some() {
            return defaults::PREFERENCE_EPOCHS;
        }
        (defaults::ROWS_SEEN / examples.max(1) as f64)
            .clamp(defaults::LEAST_EPOCHS, defaults::MOST_EPOCHS)
    });
    epochs.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(changes: Value, examples: u64) -> Hyperparameters {
        let mut spec = json!({
            "name": "desk", "base": "acme/small@1", "seed": 1, "shuffle_labels": false,
        });
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let spec: FinetuneSpec = serde_json::from_value(spec).unwrap();
        let rehearses = Hyperparameters::wants_rehearsal(&spec);
        Hyperparameters::of(&spec, TrainingRows { examples, validates: false, rehearses })
    }

    #[test]
    fn few_rows_are_passed_over_more_often() {
        let epochs = |examples| check(json!({ "dataset": "telco@1" }), examples).epochs;
        assert_eq!([epochs(50), epochs(300), epochs(5_000)], [10, 7, 4]);
        assert_eq!(check(json!({ "dataset": "telco@1", "epochs": 1.5 }), 50).epochs, 2);
    }

    #[test]
    fn each_way_to_train_has_its_own_rate() {
        let rate = |changes| check(changes, 50).learning_rate;
        assert_eq!(rate(json!({ "dataset": "telco@1" })), 1e-3);
        assert_eq!(rate(json!({ "preferences": "sha256:1" })), 2e-4);
        assert_eq!(rate(json!({ "dataset": "telco@1", "method": "full" })), 1e-4);
    }

    #[test]
    fn pairs_are_held_out_where_there_are_enough_and_are_not_rehearsed() {
        let pairs = |examples| check(json!({ "preferences": "sha256:1" }), examples);
        assert_eq!((pairs(19).held_out, pairs(19).patience), (0.0, None));
        assert_eq!((pairs(20).held_out, pairs(20).patience), (0.1, Some(5)));
        assert_eq!((pairs(20).rehearsal, pairs(20).kl_to_base), (0.0, 0.0));
        assert_eq!(check(json!({ "dataset": "telco@1", "method": "full" }), 20).kl_to_base, 0.0);
    }
}
