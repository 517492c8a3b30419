//! Keys and values of running sequences, in blocks of 16 tokens.
//!
//! A block that is being filled belongs to one sequence; a full block may be shared, and then nobody
//! writes to it any more. Blocks are counted: a sequence is admitted only when its longest possible
//! length fits, so that no running sequence ever has to be thrown out.

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
    reserved: usize,
}

impl BlockPool {
    pub(crate) fn new(shape: BlockShape, capacity: usize) -> Self {
        Self { shape, free: Vec::new(), existing: 0, capacity, reserved: 0 }
    }

    /// Sets blocks aside for a sequence; false when they are not there.
    pub(crate) fn reserve(&mut self, blocks: usize) -> bool {
        let fits = self.reserved + blocks <= self.capacity;
        if fits {
            self.reserved += blocks;
        }
        fits
    }

    /// Share of the blocks that running sequences have reserved.
    pub(crate) fn usage(&self) -> f64 {
        self.reserved as f64 / self.capacity.max(1) as f64
    }

    /// Gives `cache` open blocks for `tokens` more tokens, within its reservation.
    pub(crate) fn grow(
        &mut self,
        cache: &mut SequenceCache,
        tokens: usize,
        prefixes: &mut PrefixCache,
    ) {
        let needed = blocks_for(cache.length + tokens);
        while cache.shared.len() + cache.open.len() < needed {
            let block = self.take(prefixes);
            cache.open.push(block);
        }
    }

    /// Takes blocks that nobody needs.
    pub(crate) fn put_back(&mut self, blocks: Vec<KvBlock>) {
        self.free.extend(blocks);
    }

    fn take(&mut self, prefixes: &mut PrefixCache) -> KvBlock {
        if self.free.is_empty() && self.existing >= self.capacity {
            self.free.extend(prefixes.evict());
        }
        self.free.pop().unwrap_or_else(|| {
            self.existing += 1;
            KvBlock::new(self.shape)
        })
    }

    /// Takes a finished sequence's blocks back and ends its reservation.
    pub(crate) fn release(&mut self, cache: SequenceCache, reserved: usize) {
        self.reserved -= reserved;
        self.free.extend(cache.open);
        // A shared block comes back when its last holder lets go.
        self.free.extend(cache.shared.into_iter().filter_map(Arc::into_inner));
    }

    #[cfg(test)]
    pub(crate) fn existing(&self) -> usize {
        self.existing
    }
}
