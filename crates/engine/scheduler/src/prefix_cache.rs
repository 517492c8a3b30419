//! Keys and values of prompts that were computed before, found by their tokens.
//!
//! A tree whose edges are blocks of 16 tokens. Below each root lie the prompts of one adapter
//! generation: the same text has other keys and values under another adapter. The edge holds the
//! tokens themselves, so two prompts are never mistaken for each other. Blocks that no running
//! sequence reads are given up when memory is needed, leaves first, least recently used first.

use std::collections::HashMap;
use std::sync::Arc;

use pelton_kernels::decode::{BLOCK_TOKENS, KvBlock};

type Tokens = [u32; BLOCK_TOKENS];

#[derive(Debug)]
struct Node {
    id: u64,
    block: Arc<KvBlock>,
    last_use: u64,
    children: usize,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    nodes: HashMap<(u64, Tokens), Node>,
    /// Where a node hangs, for counting children.
    edges: HashMap<u64, (u64, Tokens)>,
    next_id: u64,
    clock: u64,
    /// Blocks that no sequence holds.
    idle: usize,
}

impl PrefixCache {
    /// Roots are adapter generations, below `FIRST_NODE`.
    const FIRST_NODE: u64 = 1 << 32;

    pub(crate) fn new() -> Self {
        Self {
            nodes: HashMap::new(),
            edges: HashMap::new(),
            next_id: Self::FIRST_NODE,
            clock: 0,
            idle: 0,
        }
    }

    /// Blocks that no sequence holds. All of them can be given up: whoever holds a block holds those
    /// before it.
    pub(crate) fn idle(&self) -> usize {
        self.idle
    }

    /// The longest known prefix of `prompt` below `root` that leaves at least one token to compute.
    pub(crate) fn find(&mut self, root: u64, prompt: &[u32]) -> Vec<Arc<KvBlock>> {
        self.clock += 1;
        let usable = &prompt[..prompt.len().saturating_sub(1)];
        let mut blocks = Vec::new();
        let mut parent = root;
        for tokens in usable.as_chunks::<BLOCK_TOKENS>().0 {
            let Some(node) = self.nodes.get_mut(&(parent, *tokens)) else { break };
            node.last_use = self.clock;
            self.idle -= usize::from(Arc::strong_count(&node.block) == 1);
            blocks.push(Arc::clone(&node.block));
            parent = node.id;
        }
        blocks
    }

    /// A sequence ends its hold on `blocks`; those that the tree does not know are returned.
    pub(crate) fn let_go(&mut self, blocks: Vec<Arc<KvBlock>>) -> Vec<KvBlock> {
        let mut unknown = Vec::new();
        for block in blocks {
            // The tree is the last holder of what it knows: it lets go of idle blocks only.
            self.idle += usize::from(Arc::strong_count(&block) == 2);
            unknown.extend(Arc::into_inner(block));
        }
        unknown
    }

    /// Remembers the full blocks of a sequence; `blocks[i]` holds tokens `16 i ..`. Where a block is
    /// known already, the known one takes the place of the new one, which is returned for reuse.
    pub(crate) fn remember(
        &mut self,
        root: u64,
        tokens: &[u32],
        blocks: &mut [Arc<KvBlock>],
    ) -> Vec<KvBlock> {
        self.clock += 1;
        let mut parent = root;
        let mut spare = Vec::new();
        for (tokens, block) in tokens.as_chunks::<BLOCK_TOKENS>().0.iter().zip(blocks) {
            let key = (parent, *tokens);
            if let Some(node) = self.nodes.get_mut(&key) {
                node.last_use = self.clock;
                parent = node.id;
                if Arc::ptr_eq(block, &node.block) {
                    continue;
                }
                self.idle -= usize::from(Arc::strong_count(&node.block) == 1);
                let duplicate = std::mem::replace(block, Arc::clone(&node.block));
                spare.extend(Arc::into_inner(duplicate));
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            let node = Node { id, block: Arc::clone(block), last_use: self.clock, children: 0 };
            self.nodes.insert(key, node);
            self.edges.insert(id, key);
            self.count_child(parent, 1);
            parent = id;
        }
        spare
    }

    /// Gives up some blocks that nobody else holds: an eighth of the idle leaves, at least one where
    /// there is one, so that the search is not repeated for every block.
    pub(crate) fn evict(&mut self) -> Vec<KvBlock> {
        let mut idle: Vec<(u64, u64)> = self
            .nodes
            .values()
            .filter(|node| node.children == 0 && Arc::strong_count(&node.block) == 1)
            .map(|node| (node.last_use, node.id))
            .collect();
        idle.sort_unstable();
        idle.truncate((idle.len() / 8).max(1));
        let given_up: Vec<KvBlock> =
            idle.into_iter().filter_map(|(_, id)| self.remove(id)).collect();
        self.idle -= given_up.len();
        given_up
    }

    fn remove(&mut self, id: u64) -> Option<KvBlock> {
        let key = self.edges.remove(&id)?;
        let node = self.nodes.remove(&key)?;
        self.count_child(key.0, -1);
        Arc::into_inner(node.block)
    }

    fn count_child(&mut self, parent: u64, change: isize) {
        if let Some(key) = self.edges.get(&parent)
            && let Some(node) = self.nodes.get_mut(key)
        {
            node.children = node.children.saturating_add_signed(change);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }
}
