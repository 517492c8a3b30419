//! The scheduler's thread: admit, plan, run, settle, again.

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
use crate::waiting_queue::WaitingQueue;
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
    pub(crate) waiting: WaitingQueue,
    /// By rank.
    pub(crate) running: Vec<Sequence>,
    /// Tokens that a step may guess.
    pub(crate) guessed_tokens: usize,
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
                Command::Submit(admitted) => self.waiting.push(Sequence::new(*admitted)),
                Command::Stop => return false,
            }
        }
    }

    fn drop_abandoned(&mut self) {
        let left = self.waiting.take_abandoned();
        self.counters.waiting.fetch_sub(left, Ordering::Relaxed);
        self.counters.aborted.fetch_add(left as u64, Ordering::Relaxed);
        for sequence in self.running.extract_if(.., |sequence| sequence.is_abandoned()) {
            self.counters.aborted.fetch_add(1, Ordering::Relaxed);
            self.pool.release(sequence.cache, &mut self.prefixes);
        }
    }

    /// Moves waiting requests into the batch while there is room for what is known of them. One of
    /// higher priority than some that run has them make room.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.peek() {
            let rank = next.rank();
            // A full batch does not look its prompt up at every step.
            if self.running.len() < self.limits.max_batch {
                let prefix = self.prefixes.find(next.prefix_root(), next.cacheable());
                if self.running.is_empty() || self.has_room(next, prefix.len()) {
                    let Some(mut next) = self.waiting.pop() else { return };
                    next.begin(SequenceCache::with_prefix(prefix));
                    self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
                    if next.generated() == 0 {
                        self.waiting.charge(&next, next.uncomputed(), 0);
                    }
                    let place = self.running.partition_point(|other| other.rank() < rank);
                    self.running.insert(place, next);
                    continue;
                }
                let unknown = self.prefixes.let_go(prefix);
                self.pool.put_back(unknown);
            }
            match self.running.pop_if(|last| last.rank().0 > rank.0) {
                Some(last) => self.preempt(last),
                None => return,
            }
        }
    }

    /// Whether memory has a place for `next`, of which `cached` blocks are there: for its known tokens,
    /// beside what those that run lack, and one more block for each so that they do not have to make
    /// room at once.
    fn has_room(&self, next: &Sequence, cached: usize) -> bool {
        let lacking: usize = self.running.iter().map(Sequence::lacking_blocks).sum();
        let wanted = next.lacking_blocks().saturating_sub(cached) + lacking + self.running.len();
        wanted <= self.pool.available(&self.prefixes)
    }

    /// Puts a running sequence back among those that wait. The prefix cache keeps what was computed
    /// of it as long as nobody needs the room.
    fn preempt(&mut self, mut sequence: Sequence) {
        self.remember(&mut sequence);
        self.pool.release(std::mem::take(&mut sequence.cache), &mut self.prefixes);
        self.counters.preemptions.fetch_add(1, Ordering::Relaxed);
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting.push(sequence);
    }

    /// Shows the prefix cache what was computed of a sequence.
    fn remember(&mut self, sequence: &mut Sequence) {
        let root = sequence.prefix_root();
        let (tokens, cache) = sequence.computed();
        let spare = self.prefixes.remember(root, tokens, cache.seal_full_blocks());
        self.pool.put_back(spare);
    }

    /// One step of all running sequences; false when a worker died.
    fn step(&mut self) -> bool {
        let guesses = self.guesses();
        let wants: Vec<Want> =
            self.running.iter_mut().map(|sequence| sequence.want(guesses)).collect();
        let mut tokens = plan_step(&wants, self.limits.max_batch_tokens);
        self.make_room(&mut tokens);
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
        resting.sort_by_key(Sequence::rank);
        self.running = resting;
        true
    }

    /// Tokens that each generating sequence may guess. Many sequences fill a pass by themselves.
    fn guesses(&self) -> usize {
        self.guessed_tokens / self.running.len().max(1)
    }

    /// Gives every sequence blocks for its tokens of this step; those of the lowest rank make room.
    fn make_room(&mut self, tokens: &mut Vec<usize>) {
        let mut at = 0;
        while let Some(sequence) = self.running.get_mut(at) {
            if self.pool.grow(&mut sequence.cache, tokens[at], &mut self.prefixes) {
                at += 1;
                continue;
            }
            // Alone, a sequence fits: it was not taken otherwise.
            if let Some(mut last) = self.running.pop() {
                last.drop_guesses();
                self.preempt(last);
            }
            tokens.truncate(self.running.len());
        }
    }

    /// Separates those that wait in this step from those that run, the latter by worker.
    fn split(&mut self, tokens: &[usize]) -> (Vec<Sequence>, Vec<Share>) {
        let worker_of = share_out(tokens, self.workers.count());
        let mut shares: Vec<Share> = (0..self.workers.count()).map(|_| Vec::new()).collect();
        let mut resting = Vec::new();
        let sequences = std::mem::take(&mut self.running);
        for ((sequence, &tokens), worker) in sequences.into_iter().zip(tokens).zip(worker_of) {
            if tokens == 0 {
                resting.push(sequence);
            } else {
                shares[worker].push((sequence, tokens));
            }
        }
        (resting, shares)
    }

    /// After a step: shares a finished prompt, and releases a finished sequence.
    fn settle(&mut self, mut sequence: Sequence) -> Option<Sequence> {
        let guessed = sequence.guessed();
        let chosen = sequence.drop_guesses();
        if guessed > 0 {
            self.counters.guessed.fetch_add(guessed as u64, Ordering::Relaxed);
            let right = chosen.saturating_sub(1) as u64;
            self.counters.guessed_right.fetch_add(right, Ordering::Relaxed);
        }
        self.waiting.charge(&sequence, 0, chosen);
        if sequence.generated() == 1 || sequence.finished.is_some() {
            self.remember(&mut sequence);
        }
        let Some(reason) = sequence.finished else { return Some(sequence) };
        let ended = Instant::now();
        let stations = Stations {
            arrived: sequence.admitted.arrived,
            began: sequence.began.unwrap_or(ended),
            first_token: sequence.first_token_at.unwrap_or(ended),
            ended,
        };
        self.counters.finished(reason, sequence.usage(), stations);
        self.pool.release(std::mem::take(&mut sequence.cache), &mut self.prefixes);
        // Last, so that a caller who has the answer also finds it counted and its memory free.
        sequence.send_done(reason);
        None
    }

    fn publish(&self) {
        let permille = (self.pool.usage(&self.prefixes) * 1000.0).round() as usize;
        self.counters.running.store(self.running.len(), Ordering::Relaxed);
        self.counters.kv_usage_permille.store(permille, Ordering::Relaxed);
    }
}
