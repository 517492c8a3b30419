//! A model's logits over a whole sequence, for gates inside training and for tests.

use pelton_kernels::Into;
use pelton_model::Adapter;

use crate::TrainError;
use crate::base::Base;
use crate::data::check_example;
use crate::decoder::{Activations, Decoder, Packed};
use crate::example::Example;
use crate::low_rank::{LowRank, LowRankLayout};
use crate::train::rope_table;

/// Logits after every token of a sequence, `[tokens, vocab]`.
///
/// # Errors
/// When the adapter was made for another base or the tokens do not fit the model.
pub fn logits<'a>(
    base: impl std::convert::Into<Base<'a>>,
    adapter: Option<&Adapter>,
    tokens: &[u32],
) -> Result<Vec<f32>, TrainError> {
    let base = base.into();
    let config = base.config();
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
    let rope = rope_table(config, tokens.len())?;
    let decoder = Decoder {
        config,
        layout: base.layout(),
        weights: base.weights(),
        low_rank: pairs.as_ref().map(|(layout, weights)| LowRank { layout, weights }),
        rope: &rope,
    };
    let mut packed = Packed::default();
    packed.push(tokens);
    let mut activations = Activations::default();
    decoder.forward(&packed, &mut activations);
    let mut logits = vec![0.0; tokens.len() * config.vocab_size];
    let (rows, width) = (tokens.len(), config.hidden_size);
    let (hidden, scratch) = (&activations.hidden[..rows * width], &mut Vec::new());
    decoder.head().forward(&mut logits, Into::Replace, hidden, rows, width, scratch);
    Ok(logits)
}
