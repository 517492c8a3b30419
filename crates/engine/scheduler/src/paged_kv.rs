//! Keys and values of running sequences, in blocks of 16 tokens.
//!
//! A block that is being filled belongs to one sequence; a full block may be shared, and then nobody
//! writes to it any more. A sequence gets blocks as it grows: how long it will be nobody knows. When
//! none is left, some sequence makes room and is computed again later.

use std::sync::Arc;

use pelton_kernels::decode::{BLOCK_TOKENS, BlockShape, KvBlock};

use crate::prefix_cache::PrefixCache;

/// Blocks that tokens need.
pub(crate) fn blocks_for(tokens: usize) -> usize {
    tokens.div_ceil(BLOCK_TOKENS)
}

/// Keys and values of one sequence.
#[derive(Debug, Default)]
pub(crate) struct SequenceCache {
    shared: Vec<Arc<KvBlock>>,
    open: Vec<KvBlock>,
    length: usize,
}

impl SequenceCache {
    /// Begins with full blocks that another sequence computed.
    pub(crate) fn with_prefix(shared: Vec<Arc<KvBlock>>) -> Self {
        Self { length: shared.len() * BLOCK_TOKENS, shared, open: Vec::new() }
    }

    /// Tokens held.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Writes a token's keys and values of one layer; the position must be in an open block.
    pub(crate) fn write(
        &mut self,
        shape: BlockShape,
        layer: usize,
        position: usize,
        k: &[f32],
        v: &[f32],
    ) {
        let block = position / BLOCK_TOKENS - self.shared.len();
        self.open[block].write(shape, layer, position % BLOCK_TOKENS, k, v);
    }

    /// All blocks in order, for reading.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &KvBlock> {
        self.shared.iter().map(AsRef::as_ref).chain(&self.open)
    }

    /// Says that `tokens` more tokens were written in every layer.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// Blocks held.
    pub(crate) fn held(&self) -> usize {
        self.shared.len() + self.open.len()
    }

    /// Forgets all after the first `length` tokens, which must not be in a shared block.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Turns full open blocks into shared ones and returns all shared blocks.
    pub(crate) fn seal_full_blocks(&mut self) -> &mut [Arc<KvBlock>] {
        let full = self.length / BLOCK_TOKENS - self.shared.len();
        self.shared.extend(self.open.drain(..full).map(Arc::new));
        &mut self.shared
    }
}

/// The blocks of the engine: free ones, and a count of those that exist.
#[derive(Debug)]
pub(crate) struct BlockPool {
    shape: BlockShape,
    free: Vec<KvBlock>,
    existing: usize,
    capacity: usize,
}

impl BlockPool {
    pub(crate) fn new(shape: BlockShape, capacity: usize) -> Self {
        Self { shape, free: Vec::new(), existing: 0, capacity }
    }

    /// Blocks that no sequence holds, those that the prefix cache would give up among them.
    pub(crate) fn available(&self, prefixes: &PrefixCache) -> usize {
        self.free.len() + self.capacity.saturating_sub(self.existing) + prefixes.idle()
    }

    /// Share of the blocks that running sequences hold.
    pub(crate) fn usage(&self, prefixes: &PrefixCache) -> f64 {
        1.0 - self.available(prefixes) as f64 / self.capacity.max(1) as f64
    }

    /// Gives `cache` open blocks for `tokens` more tokens; false when there are not enough, and then
    /// it has those that there were.
    pub(crate) fn grow(
        &mut self,
        cache: &mut SequenceCache,
        tokens: usize,
        prefixes: &mut PrefixCache,
    ) -> bool {
        let needed = blocks_for(cache.length + tokens);
        while cache.held() < needed {
            let Some(block) = self.take(prefixes) else { return false };
            cache.open.push(block);
        }
        true
    }

    /// Takes blocks that nobody needs.
    pub(crate) fn put_back(&mut self, blocks: Vec<KvBlock>) {
        self.free.extend(blocks);
    }

    fn take(&mut self, prefixes: &mut PrefixCache) -> Option<KvBlock> {
        if self.free.is_empty() {
            if self.existing < self.capacity {
                self.existing += 1;
                return Some(KvBlock::new(self.shape));
            }
            self.free.extend(prefixes.evict());
        }
        self.free.pop()
    }

    /// Takes a sequence's blocks back, but for those that the prefix cache keeps.
    pub(crate) fn release(&mut self, cache: SequenceCache, prefixes: &mut PrefixCache) {
        self.free.extend(cache.open);
        self.free.extend(prefixes.let_go(cache.shared));
    }

    #[cfg(test)]
    pub(crate) fn existing(&self) -> usize {
        self.existing
    }
}
