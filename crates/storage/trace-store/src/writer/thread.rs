//! The loop: gather, commit, answer; when a commit fails, keep what nobody waits for and try again.

use super::commit::{commit, write_error};
use super::{Command, Counters, Reply};
use crate::error::{Result, TraceStoreError, WriteError, at_file};
use crate::fault::Step;
use crate::payload_body::Packer;
use crate::segment::Segment;
use crate::shared::Shared;
use pelton_ids::Micros;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A caller that waits shares its commit with those that come this soon after.
const LINGER_FOR_WAITING: Duration = Duration::from_millis(1);

/// The running thread.
pub(crate) struct Started {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) queue: mpsc::Sender<Command>,
}

/// The segment that is written to.
struct Active {
    segment: Arc<Segment>,
    /// Absent after a failure: the next attempt opens it, and so replays the log.
    connection: Option<SqliteConnection>,
}

struct Loop {
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    queue: mpsc::Receiver<Command>,
    active: Option<Active>,
    packer: Packer,
    /// Records of failed commits that nobody waits for.
    held: Vec<Command>,
}

/// Starts the thread. `active` is the segment to go on with, if any.
pub(crate) fn start(
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    active: Option<Arc<Segment>>,
) -> Result<Started> {
    let (queue, commands) = mpsc::channel(shared.options.queue_records);
    let failed = |source| at_file(&shared.folder)(source);
    let packer = Packer::new().map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let shared_with_thread = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("trace-writer".into())
        .spawn(move || {
            runtime.block_on(async move {
                let this = Loop {
                    shared: shared_with_thread,
                    counters,
                    queue: commands,
                    active: active.map(|segment| Active { segment, connection: None }),
                    packer,
                    held: Vec::new(),
                };
                this.run().await;
            });
        })
        .map_err(failed)?;
    Ok(Started { thread, queue })
}

impl Loop {
    async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            let (batch, stopping) = self.gather(retry).await;
            let failed = self.write(batch).await;
            retry = if failed { (retry * 2).min(LAST_RETRY) } else { FIRST_RETRY };
            if stopping {
                break;
            }
        }
        if !self.held.is_empty() {
            tracing::error!(
                records = self.held.len(),
                "traces are lost: they could not be written before the end"
            );
        }
        if let Some(Active { connection: Some(connection), .. }) = self.active.take() {
            drop(connection.close().await);
        }
    }

    /// The next commands, and whether they are the last. While records are held, an empty batch
    /// after `retry` is the signal to try them again.
    async fn gather(&mut self, retry: Duration) -> (Vec<Command>, bool) {
        let first = if self.held.is_empty() {
            self.queue.recv().await
        } else {
            match timeout(retry, self.queue.recv()).await {
                Ok(command) => command,
                Err(_) => return (Vec::new(), false),
            }
        };
        let Some(first) = first else { return (Vec::new(), true) };
        let mut until = Instant::now() + self.shared.options.group_commit;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(command) = next {
            if matches!(command, Command::Stop) {
                self.queue.close();
                while let Ok(command) = self.queue.try_recv() {
                    batch.push(command);
                }
                return (batch, true);
            }
            if waits(&command) {
                until = until.min(Instant::now() + LINGER_FOR_WAITING);
            }
            batch.push(command);
            if batch.len() >= self.shared.options.group_rows {
                break;
            }
            next = match self.queue.try_recv() {
                Ok(command) => Some(command),
                Err(mpsc::error::TryRecvError::Disconnected) => return (batch, true),
                Err(mpsc::error::TryRecvError::Empty) => {
                    timeout_at(until, self.queue.recv()).await.unwrap_or_default()
                }
            };
        }
        (batch, false)
    }

    /// Commits what is held and the batch; answers those who wait. Returns whether it failed.
    async fn write(&mut self, batch: Vec<Command>) -> bool {
        let mut all = std::mem::take(&mut self.held);
        all.extend(batch);
        let records = all.iter().filter(|command| is_record(command)).count();
        let outcome = if records == 0 { Ok(()) } else { self.commit(&mut all).await };
        if outcome.is_ok() {
            self.counters.committed.fetch_add(records as u64, Ordering::Relaxed);
        } else {
            self.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
        self.counters.failing.store(outcome.is_err(), Ordering::Relaxed);
        let mut rotations = Vec::new();
        for command in all {
            match command {
                Command::Trace { reply: Some(reply), .. }
                | Command::Feedback { reply: Some(reply), .. }
                | Command::Flush(reply) => drop(reply.send(outcome.clone())),
                Command::Trace { .. } | Command::Feedback { .. } if outcome.is_err() => {
                    self.held.push(command);
                }
                Command::Trace { .. } | Command::Feedback { .. } | Command::Stop => {}
                Command::Rotate(reply) => rotations.push(reply),
            }
        }
        self.rotate_if(rotations, &outcome).await;
        outcome.is_err()
    }

    async fn rotate_if(&mut self, asked: Vec<Reply>, outcome: &Result<(), WriteError>) {
        let full = self.active.as_ref().is_some_and(|active| {
            active.segment.rows.load(Ordering::Relaxed) >= self.shared.options.seal_rows
                || active.segment.bytes.load(Ordering::Relaxed) >= self.shared.options.seal_bytes
        });
        // A failed commit may have reached the disk after all: trying it again in another segment
        // could store a record twice.
        if outcome.is_ok() && (full || !asked.is_empty()) {
            self.close_active().await;
        }
        for reply in asked {
            drop(reply.send(outcome.clone()));
        }
    }

    async fn close_active(&mut self) {
        let Some(active) = self.active.take() else { return };
        if active.segment.rows.load(Ordering::Relaxed) == 0 {
            self.active = Some(active);
            return;
        }
        if let Some(mut connection) = active.connection {
            // Failing here is harmless: the log is read as well.
            drop(sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await);
            drop(connection.close().await);
        }
        active.segment.closed.store(true, Ordering::SeqCst);
    }

    async fn commit(&mut self, batch: &mut [Command]) -> Result<(), WriteError> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.open().await.map_err(|error| opening_error(&error))?,
        };
        let outcome = self.commit_to(&mut active, batch).await;
        if outcome.is_err()
            && let Some(mut connection) = active.connection.take()
        {
            drop(sqlx::query("ROLLBACK").execute(&mut connection).await);
            drop(connection.close().await);
        }
        self.active = Some(active);
        outcome
    }

    async fn commit_to(
        &mut self,
        active: &mut Active,
        batch: &mut [Command],
    ) -> Result<(), WriteError> {
        let Active { segment, connection } = active;
        let told = |error: &sqlx::Error| {
            tracing::error!(segment = %segment.path().display(), %error, "traces could not be written");
            write_error(error)
        };
        self.shared.options.faults.at(Step::Commit).map_err(|error| told(&error.into()))?;
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let opened = segment.connect().await.map_err(|error| opening_error(&error))?;
                connection.insert(opened)
            }
        };
        let (rows, bytes) =
            commit(connection, &mut self.packer, batch).await.map_err(|error| told(&error))?;
        segment.rows.fetch_add(rows, Ordering::Relaxed);
        segment.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a segment, named after those before it, and shows it to readers.
    async fn open(&self) -> Result<Active> {
        let now = self.shared.clock.now();
        let after = self.shared.last_segment.load(Ordering::SeqCst).saturating_add(1);
        let at = now.0.max(after);
        let hot = self.shared.hot_folder();
        let (segment, connection) = Segment::create(&hot, Segment::name_at(Micros(at))).await?;
        self.shared.last_segment.store(at, Ordering::SeqCst);
        let segment = Arc::new(segment);
        self.shared.show_segment(&segment);
        Ok(Active { segment, connection: Some(connection) })
    }
}

const fn is_record(command: &Command) -> bool {
    matches!(command, Command::Trace { .. } | Command::Feedback { .. })
}

const fn waits(command: &Command) -> bool {
    match command {
        Command::Trace { reply, .. } | Command::Feedback { reply, .. } => reply.is_some(),
        Command::Flush(_) | Command::Rotate(_) | Command::Stop => true,
    }
}

fn opening_error(error: &TraceStoreError) -> WriteError {
    let reason = error.to_string();
    // SQLite words a full disk so; its code is gone by here.
    if reason.contains("disk is full") { WriteError::DiskFull } else { WriteError::Failed(reason) }
}
