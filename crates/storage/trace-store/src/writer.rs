//! The one thread that writes: it gathers records for a moment and commits them together, so that
//! an fsync is shared by all that arrived meanwhile.

mod commit;
mod thread;

pub(crate) use thread::start;

use crate::error::WriteError;
use crate::feedback::FeedbackRecord;
use crate::record::TraceRecord;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Bytes that one record may have.
pub const MAX_RECORD_BYTES: usize = 64 << 20;
/// Queued bytes are counted in pieces of this size.
const GRAIN: usize = 1_024;

type Reply = oneshot::Sender<Result<(), WriteError>>;

/// What the thread is asked to do.
pub(crate) enum Command {
    Trace {
        record: Box<TraceRecord>,
        _room: OwnedSemaphorePermit,
        reply: Option<Reply>,
    },
    Feedback {
        record: Box<FeedbackRecord>,
        _room: OwnedSemaphorePermit,
        reply: Option<Reply>,
    },
    /// Answered when everything before it is on disk.
    Flush(Reply),
    /// Closes the segment, if it holds anything.
    Rotate(Reply),
    Stop,
}

/// Figures for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterCounters {
    /// Records taken.
    pub queued: u64,
    /// Records on disk.
    pub committed: u64,
    /// Records refused because the queue was full. They are lost.
    pub dropped: u64,
    /// Commits that failed, to be tried again.
    pub failed_commits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    queued: AtomicU64,
    pub(crate) committed: AtomicU64,
    dropped: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    /// The last commit failed.
    pub(crate) failing: AtomicBool,
}

/// Takes records. Clones share one queue.
#[derive(Debug, Clone)]
pub struct Writer {
    pub(crate) queue: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    grains: usize,
    pub(crate) counters: Arc<Counters>,
}

fn grains_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN)).unwrap_or(u32::MAX)
}

impl Writer {
    pub(crate) fn new(queue: mpsc::Sender<Command>, bytes: usize, counters: Arc<Counters>) -> Self {
        let grains = bytes.max(MAX_RECORD_BYTES) / GRAIN;
        Self { queue, room: Arc::new(Semaphore::new(grains)), grains, counters }
    }

    /// Queues the record, to be on disk within one group-commit interval. Never waits: `false`
    /// says that the queue is full or the record too large, and that the record is dropped and
    /// counted.
    #[must_use]
    pub fn record(&self, record: TraceRecord) -> bool {
        let taken = self.try_room(record.weight()).and_then(|room| {
            let slot = self.queue.try_reserve().ok()?;
            slot.send(Command::Trace { record: Box::new(record), _room: room, reply: None });
            Some(())
        });
        self.count(taken.is_some())
    }

    /// Queues the feedback, as [`Writer::record`] does.
    #[must_use]
    pub fn feedback(&self, record: FeedbackRecord) -> bool {
        let taken = self.try_room(record.weight()).and_then(|room| {
            let slot = self.queue.try_reserve().ok()?;
            slot.send(Command::Feedback { record: Box::new(record), _room: room, reply: None });
            Some(())
        });
        self.count(taken.is_some())
    }

    /// Stores the record: done when it is on disk. A record whose id is known changes nothing.
    ///
    /// # Errors
    /// [`WriteError`] when it is not known to be on disk; then it is not tried again.
    pub async fn record_durable(&self, record: TraceRecord) -> Result<(), WriteError> {
        let room = self.room(record.weight()).await?;
        self.ask(|reply| Command::Trace {
            record: Box::new(record),
            _room: room,
            reply: Some(reply),
        })
        .await
    }

    /// Stores the feedback: done when it is on disk. A record whose id is known changes nothing.
    ///
    /// # Errors
    /// [`WriteError`] when it is not known to be on disk; then it is not tried again.
    pub async fn feedback_durable(&self, record: FeedbackRecord) -> Result<(), WriteError> {
        let room = self.room(record.weight()).await?;
        self.ask(|reply| Command::Feedback {
            record: Box::new(record),
            _room: room,
            reply: Some(reply),
        })
        .await
    }

    /// Waits until everything queued before is on disk.
    ///
    /// # Errors
    /// [`WriteError`] when the commit failed; what was queued is kept and tried again.
    pub async fn flush(&self) -> Result<(), WriteError> {
        self.ask(Command::Flush).await
    }

    /// The figures so far.
    #[must_use]
    pub fn counters(&self) -> WriterCounters {
        let Counters { queued, committed, dropped, failed_commits, failing: _ } = &*self.counters;
        WriterCounters {
            queued: queued.load(Ordering::Relaxed),
            committed: committed.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            failed_commits: failed_commits.load(Ordering::Relaxed),
        }
    }

    fn count(&self, taken: bool) -> bool {
        let counter = if taken { &self.counters.queued } else { &self.counters.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    fn try_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes > MAX_RECORD_BYTES {
            return None;
        }
        Arc::clone(&self.room).try_acquire_many_owned(grains_of(bytes)).ok()
    }

    /// Waits for room in the queue; while commits fail there is no telling how long, so it does not.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriteError> {
        if bytes > MAX_RECORD_BYTES || bytes / GRAIN > self.grains {
            return Err(WriteError::TooLarge { bytes, most: MAX_RECORD_BYTES });
        }
        if let Some(room) = self.try_room(bytes) {
            return Ok(room);
        }
        if self.counters.failing.load(Ordering::Relaxed) {
            return Err(WriteError::Failed("the queue is full because commits fail".into()));
        }
        let room = Arc::clone(&self.room).acquire_many_owned(grains_of(bytes)).await;
        room.map_err(|_| WriteError::Closed)
    }

    pub(crate) async fn ask(
        &self,
        command: impl FnOnce(Reply) -> Command,
    ) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        let counted = matches!(command, Command::Trace { .. } | Command::Feedback { .. });
        self.queue.send(command).await.map_err(|_| WriteError::Closed)?;
        if counted {
            self.counters.queued.fetch_add(1, Ordering::Relaxed);
        }
        answer.await.unwrap_or(Err(WriteError::Closed))
    }
}
