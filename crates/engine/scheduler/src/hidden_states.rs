//! A decoder's hidden states, for models that are read from rather than written with.

use crate::Decoder;
use crate::forward::{Part, Workspace, forward};
use crate::paged_kv::{BlockPool, SequenceCache, blocks_for};
use crate::prefix_cache::PrefixCache;
use crate::team::Team;

/// Tokens computed at a time.
const CHUNK: usize = 512;

/// Hidden states after the final norm, of the last `rows` of `tokens`: `[rows, hidden_size]`.
///
/// # Panics
/// Where a token is not in the vocabulary, or there are more tokens than the context holds.
pub fn hidden_states(decoder: &Decoder, tokens: &[u32], rows: usize) -> Vec<f32> {
    let first = tokens.len().saturating_sub(rows);
    let mut pool = BlockPool::new(decoder.blocks, blocks_for(tokens.len()));
    let (mut prefixes, mut cache) = (PrefixCache::new(), SequenceCache::default());
    let (mut workspace, alone) = (Workspace::default(), Team::default());
    let mut states = Vec::with_capacity(rows * decoder.config().hidden_size);
    for (chunk, from) in tokens.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        pool.grow(&mut cache, chunk.len(), &mut prefixes);
        let wanted = (from + chunk.len()).saturating_sub(first.max(from));
        let part = Part { tokens: chunk, cache: &mut cache, adapter: None, logits: wanted };
        forward(decoder, &mut [part], &mut workspace, &alone);
        states.extend_from_slice(workspace.hidden_states());
    }
    states
}
