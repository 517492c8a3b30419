//! Gradients of the whole model against finite differences, and whole runs.

mod gradients;
mod runs;

use std::sync::Arc;

use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, Projection};

use crate::Example;

/// Two layers, grouped heads, a head width of its own.
fn small_config(tied: bool) -> DecoderConfig {
    let mut config = DecoderConfig::small(24, 16, 20, 2, 2, 1);
    config.head_dim = Some(6);
    config.tie_word_embeddings = tied;
    config
}

fn small_model(tied: bool) -> Arc<BaseModel> {
    model_of(small_config(tied))
}

fn model_of(config: DecoderConfig) -> Arc<BaseModel> {
    let model = BaseModel::initialize(config, 5).unwrap();
    // Larger weights than at the start of training, so that every path carries a gradient.
    let weights = model.weights().iter().map(|weight| {
        weight * 12.0 * (weight.abs() < 0.5) as u8 as f32
            + weight * (weight.abs() >= 0.5) as u8 as f32
    });
    let weights = weights.collect();
    Arc::new(BaseModel::new(model.config().clone(), weights).unwrap())
}

fn adapter_config(targets: &[Projection]) -> AdapterConfig {
    AdapterConfig {
        rank: 3,
        alpha: 6.0,
        rank_stabilized: false,
        targets: targets.to_vec(),
        base_model: String::new(),
    }
}

/// An adapter whose `B` is not zero any more.
fn used_adapter(model: &BaseModel, targets: &[Projection]) -> Adapter {
    let mut adapter = Adapter::initialize(adapter_config(targets), model.config(), 9).unwrap();
    for (_, pair) in adapter.pairs_mut() {
        pair.b.iter_mut().enumerate().for_each(|(i, b)| *b = ((i * 5 % 11) as f32 - 5.0) * 0.03);
    }
    adapter
}

/// Sequences of different lengths with weights that differ.
fn examples(count: usize, seed: u32) -> Vec<Example> {
    (0..count as u32)
        .map(|index| {
            let len = 4 + (index * 3 + seed) % 6;
            let tokens: Vec<u32> = (0..len).map(|i| (index * 7 + i * 5 + seed) % 24).collect();
            let loss_weights = (0..len).map(|i| ((i + index) % 3) as f32 * 0.5).collect();
            Example { tokens, loss_weights }
        })
        .collect()
}
