//! A model's logits over a whole sequence, for gates inside training and for tests.

use pelton_kernels::linear_forward;
use pelton_model::{Adapter, BaseModel};

use crate::TrainError;
use crate::data::check_example;
use crate::decoder::{Activations, Decoder, Packed};
use crate::example::Example;
use crate::low_rank::{LowRank, LowRankLayout};
use crate::train::rope_table;

/// Logits after every token of a sequence, `[tokens, vocab]`.
///
/// # Errors
/// When the adapter was made for another base or the tokens do not fit the model.
pub fn logits(
    model: &BaseModel,
    adapter: Option<&Adapter>,
    tokens: &[u32],
) -> Result<Vec<f32>, TrainError> {
    let config = model.config();
    check_example("given", 0, &Example::uniform(tokens.to_vec()), config)?;
    let pairs = match adapter {
        None => None,
        Some(adapter) => {
            adapter.check_fits(config)?;
            let layout = LowRankLayout::new(adapter.config(), config);
            let weights = layout.flatten(adapter);
            Some((layout, weights))
        }
    };
    let rope = rope_table(model, tokens.len())?;
    let decoder = Decoder {
        config,
        layout: model.layout(),
        weights: model.weights(),
        low_rank: pairs.as_ref().map(|(layout, weights)| LowRank { layout, weights }),
        rope: &rope,
    };
    let mut packed = Packed::default();
    packed.push(tokens);
    let mut activations = Activations::default();
    decoder.forward(&packed, &mut activations);
    let mut logits = vec![0.0; tokens.len() * config.vocab_size];
    let head = decoder.weight(decoder.layout.head());
    linear_forward(&mut logits, &activations.hidden, head, tokens.len(), config.hidden_size);
    Ok(logits)
}
