//! A sequence's logits, as serving computes them.

use pelton_model::Adapter;

use crate::forward::{Part, Workspace, each_logits, forward};
use crate::lora::LoraWeights;
use crate::paged_kv::{BlockPool, SequenceCache, blocks_for};
use crate::prefix_cache::PrefixCache;
use crate::team::Team;
use crate::{Decoder, SchedulerError};

/// Logits after every token, `[tokens, vocab]`: one token at a time over the paged cache, as decoding does it.
///
/// # Errors
/// Where the adapter was made for another base, or the tokens do not fit the model.
pub fn logits(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    tokens: &[u32],
) -> Result<Vec<f32>, SchedulerError> {
    last_logits(decoder, adapter, tokens, tokens.len())
}

/// Logits after each of the last `count` tokens, `[count, vocab]`; otherwise as [`logits`].
///
/// # Errors
/// As [`logits`].
pub fn last_logits(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    tokens: &[u32],
    count: usize,
) -> Result<Vec<f32>, SchedulerError> {
    let config = decoder.config();
    if let Some(token) = tokens.iter().find(|token| **token as usize >= config.vocab_size) {
        let vocab = config.vocab_size;
        return Err(SchedulerError::Sequence(format!("{token} is not among its {vocab}")));
    }
    if tokens.len() > decoder.context_length() {
        let (found, most) = (tokens.len(), decoder.context_length());
        return Err(SchedulerError::Sequence(format!("there are {found}, it takes {most}")));
    }
    let adapter = match adapter {
        None => None,
        Some(adapter) => {
            adapter.check_fits(config)?;
            Some(LoraWeights::new(adapter, decoder)?)
        }
    };
    let mut pool = BlockPool::new(decoder.blocks, blocks_for(tokens.len()));
    let (mut prefixes, mut cache) = (PrefixCache::new(), SequenceCache::default());
    let mut workspace = Workspace::default();
    let mut rows = Vec::with_capacity(count.min(tokens.len()) * config.vocab_size);
    for (at, token) in tokens.chunks(1).enumerate() {
        pool.grow(&mut cache, 1, &mut prefixes);
        let logits = usize::from(at + count >= tokens.len());
        let part = Part { tokens: token, cache: &mut cache, adapter: adapter.as_ref(), logits };
        let alone = Team::default();
        forward(decoder, &mut [part], &mut workspace, &alone);
        each_logits(decoder, &mut workspace, &alone, |logits| rows.extend_from_slice(logits));
    }
    Ok(rows)
}
