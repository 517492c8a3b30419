//! The scheduler's thread: admit, plan, run, settle, again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use tokio::sync::watch;

use crate::Limits;
use crate::counters::{Counters, Stations};
use crate::paged_kv::{BlockPool, SequenceCache};
use crate::plan_step::{Want, plan_step, share_out};
use crate::prefix_cache::PrefixCache;
use crate::sequence::{Admitted, Sequence};
use crate::worker::{Share, Workers};

/// What callers tell the thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run this.
    Submit(Box<Admitted>),
    /// Give up everything and end.
    Stop,
}

/// All that the thread owns.
#[derive(Debug)]
pub(crate) struct StepLoop {
    pub(crate) limits: Limits,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) workers: Workers,
    pub(crate) pool: BlockPool,
    pub(crate) prefixes: PrefixCache,
    pub(crate) counters: Arc<Counters>,
    pub(crate) waiting: VecDeque<Admitted>,
    pub(crate) running: Vec<Sequence>,
    /// Never sends: it closes when this thread ends, however it ends.
    pub(crate) _life: watch::Sender<()>,
}

impl StepLoop {
    /// Turns until it is told to stop, or nobody can send any more and all work is done.
    pub(crate) fn run(mut self) {
        while self.receive() {
            self.drop_abandoned();
            self.admit();
            if !self.running.is_empty() && !self.step() {
                tracing::error!("a decode thread died; the engine stops");
                return;
            }
            self.publish();
        }
    }

    /// Takes all commands; blocks when there is nothing else to do. False to end.
    fn receive(&mut self) -> bool {
        loop {
            let idle = self.running.is_empty() && self.waiting.is_empty();
            let command = if idle {
                match self.inbox.recv() {
                    Ok(command) => command,
                    Err(_) => return false,
                }
            } else {
                match self.inbox.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                }
            };
            match command {
                Command::Submit(admitted) => self.waiting.push_back(*admitted),
                Command::Stop => return false,
            }
        }
    }

    fn drop_abandoned(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|admitted| !admitted.events.is_closed());
        let left = before - self.waiting.len();
        self.counters.waiting.fetch_sub(left, Ordering::Relaxed);
        self.counters.aborted.fetch_add(left as u64, Ordering::Relaxed);
        for sequence in self.running.extract_if(.., |sequence| sequence.is_abandoned()) {
            self.counters.aborted.fetch_add(1, Ordering::Relaxed);
            self.pool.release(sequence.cache, sequence.reserved_blocks);
        }
    }

    /// Moves waiting requests into the batch, in order, while their longest length fits.
    fn admit(&mut self) {
        while self.running.len() < self.limits.max_batch {
            let Some(next) = self.waiting.front() else { return };
            if !self.pool.reserve(next.blocks()) {
                return;
            }
            let Some(next) = self.waiting.pop_front() else { return };
            self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
            let cache = if next.request.prompt_logprobs.is_some() {
                SequenceCache::default()
            } else {
                let prefix = self.prefixes.find(next.prefix_root(), &next.request.prompt);
                SequenceCache::with_prefix(prefix)
            };
            self.running.push(Sequence::new(next, cache));
        }
    }

    /// One step of all running sequences; false when a worker died.
    fn step(&mut self) -> bool {
        let wants: Vec<Want> = self
            .running
            .iter()
            .map(|sequence| Want { tokens: sequence.uncomputed(), in_prompt: sequence.in_prompt() })
            .collect();
        let tokens = plan_step(&wants, self.limits.max_batch_tokens);
        let (mut resting, mut shares) = self.split(&tokens);
        self.counters.steps.fetch_add(1, Ordering::Relaxed);
        // The heaviest stays here: it is not delayed by waking a thread.
        shares.sort_by_key(|share| share.iter().map(|(_, tokens)| tokens).sum::<usize>());
        let Some(moved) = self.workers.run(shares) else { return false };
        for sequence in moved {
            if let Some(sequence) = self.settle(sequence) {
                resting.push(sequence);
            }
        }
        resting.sort_by_key(|sequence| sequence.admitted.ticket);
        self.running = resting;
        true
    }

    /// Separates those that wait in this step from those that run, the latter by worker.
    fn split(&mut self, tokens: &[usize]) -> (Vec<Sequence>, Vec<Share>) {
        let worker_of = share_out(tokens, self.workers.count());
        let mut shares: Vec<Share> = (0..self.workers.count()).map(|_| Vec::new()).collect();
        let mut resting = Vec::new();
        let sequences = std::mem::take(&mut self.running);
        for ((mut sequence, &tokens), worker) in sequences.into_iter().zip(tokens).zip(worker_of) {
            if tokens == 0 {
                resting.push(sequence);
            } else {
                self.pool.grow(&mut sequence.cache, tokens, &mut self.prefixes);
                shares[worker].push((sequence, tokens));
            }
        }
        (resting, shares)
    }

    /// After a step: shares a finished prompt, and releases a finished sequence.
    fn settle(&mut self, mut sequence: Sequence) -> Option<Sequence> {
        if sequence.generated() == 1 || (sequence.finished.is_some() && !sequence.in_prompt()) {
            let root = sequence.admitted.prefix_root();
            let prompt = &sequence.admitted.request.prompt;
            let blocks = sequence.cache.seal_full_blocks();
            let spare = self.prefixes.remember(root, prompt, blocks);
            self.pool.put_back(spare);
        }
        let Some(reason) = sequence.finished else { return Some(sequence) };
        let ended = Instant::now();
        let stations = Stations {
            arrived: sequence.admitted.arrived,
            began: sequence.began,
            first_token: sequence.first_token_at.unwrap_or(ended),
            ended,
        };
        self.counters.finished(reason, sequence.usage(), stations);
        self.pool.release(std::mem::take(&mut sequence.cache), sequence.reserved_blocks);
        // Last, so that a caller who has the answer also finds it counted and its memory free.
        sequence.send_done(reason);
        None
    }

    fn publish(&self) {
        let permille = (self.pool.usage() * 1000.0).round() as usize;
        self.counters.running.store(self.running.len(), Ordering::Relaxed);
        self.counters.kv_usage_permille.store(permille, Ordering::Relaxed);
    }
}
