//! Threads that each carry a share of a step's sequences through the whole model.
//!
//! The share is owned by the worker while it runs, so that nothing is locked and no layer waits for
//! another thread; the step ends when all shares are back. A model that no cache holds has one worker,
//! whose team divides every operator instead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use pelton_tokens::TextCodec;

use crate::SchedulerError;
use crate::decoder::Decoder;
use crate::forward::{Workspace, each_logits, forward};
use crate::sequence::Sequence;
use crate::team::Team;

/// Weights beyond this size come from memory at every step.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// Sequences with the number of tokens that each computes in this step.
pub(crate) type Share = Vec<(Sequence, usize)>;

/// What every worker needs.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) codec: Arc<TextCodec>,
}

/// The caller's thread and some more.
#[derive(Debug)]
pub(crate) struct Workers {
    engine: Engine,
    workspace: Workspace,
    team: Team,
    inboxes: Vec<Sender<Share>>,
    finished: Receiver<Share>,
}

impl Workers {
    /// Starts what shares `threads` threads, the caller's included.
    pub(crate) fn start(engine: Engine, threads: usize) -> Result<Self, SchedulerError> {
        let large = threads > 1 && engine.decoder.weight_bytes() > LARGE_BYTES;
        let team = if large { Team::start(threads)? } else { Team::default() };
        let workers = if large { 1 } else { threads.max(1) };
        let (done, finished) = channel();
        let inboxes = (1..workers)
            .map(|number| {
                let (inbox, shares) = channel();
                let (engine, done) = (engine.clone(), done.clone());
                thread::Builder::new()
                    .name(format!("decode-{number}"))
                    .spawn(move || serve(&engine, &shares, &done))
                    .map_err(SchedulerError::Thread)?;
                Ok(inbox)
            })
            .collect::<Result<_, SchedulerError>>()?;
        Ok(Self { engine, workspace: Workspace::default(), team, inboxes, finished })
    }

    /// Workers, the caller's thread included.
    pub(crate) fn count(&self) -> usize {
        self.inboxes.len() + 1
    }

    /// Whether the operators of a pass are divided, because reading the weights takes its time.
    pub(crate) fn divide_operators(&self) -> bool {
        self.team.width() > 1
    }

    /// Runs one share per worker; `None` when a worker died.
    pub(crate) fn run(&mut self, mut shares: Vec<Share>) -> Option<Vec<Sequence>> {
        let own = shares.pop().unwrap_or_default();
        let mut sent = 0;
        for (share, inbox) in shares.into_iter().zip(&self.inboxes) {
            if !share.is_empty() {
                inbox.send(share).ok()?;
                sent += 1;
            }
        }
        let (engine, workspace, team) = (&self.engine, &mut self.workspace, &self.team);
        let own = team.pass(|| run_share(engine, own, workspace, team));
        let mut sequences: Vec<Sequence> = own.into_iter().map(|(sequence, _)| sequence).collect();
        for _ in 0..sent {
            let share = self.finished.recv().ok()?;
            sequences.extend(share.into_iter().map(|(sequence, _)| sequence));
        }
        Some(sequences)
    }
}

fn serve(engine: &Engine, shares: &Receiver<Share>, done: &Sender<Share>) {
    let (mut workspace, alone) = (Workspace::default(), Team::default());
    while let Ok(share) = shares.recv() {
        if done.send(run_share(engine, share, &mut workspace, &alone)).is_err() {
            return;
        }
    }
}

fn run_share(engine: &Engine, mut share: Share, workspace: &mut Workspace, team: &Team) -> Share {
    // Neighbors with the same adapter run through it together.
    share.sort_by_key(|(sequence, _)| sequence.prefix_root());
    let mut parts: Vec<_> =
        share.iter_mut().map(|(sequence, tokens)| sequence.part(*tokens)).collect();
    let wants: Vec<usize> = parts.iter().map(|part| part.logits).collect();
    forward(&engine.decoder, &mut parts, workspace, team);
    let mut owners = (0..).zip(wants).flat_map(|(owner, rows)| std::iter::repeat_n(owner, rows));
    each_logits(&engine.decoder, workspace, team, |logits| {
        let owner: Option<usize> = owners.next();
        if let Some((sequence, _)) = owner.and_then(|owner| share.get_mut(owner)) {
            sequence.take(logits, &engine.codec);
        }
    });
    share
}
