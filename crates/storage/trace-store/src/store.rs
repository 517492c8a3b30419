//! The store: opens its folder, hands out the writer, seals, forgets, and answers by id.

use crate::catalog::PartCatalog;
use crate::error::{Result, TraceStoreError};
use crate::fault::Faults;
use crate::feedback::FeedbackRecord;
use crate::part_files::PartFiles;
use crate::part_rows;
use crate::record::{Payload, TraceSummary};
use crate::release_stats::{ReleaseStats, StatsCache};
use crate::seal_segment::seal_segment;
use crate::segment_rows::Span;
use crate::shared::{Shared, View};
use crate::writer::{Command, Counters, Writer, start};
use pelton_context::Clock;
use pelton_ids::{InferenceId, Micros, ProjectId};
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

mod open;

/// How the store trades memory, latency and file sizes.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A record waits at most so long for others to share its commit.
    pub group_commit: Duration,
    /// Records in one commit.
    pub group_rows: usize,
    /// Records in the queue.
    pub queue_records: usize,
    /// Bytes in the queue.
    pub queue_bytes: usize,
    /// A segment is sealed at this many records,
    pub seal_rows: i64,
    /// or at about this many bytes,
    pub seal_bytes: i64,
    /// or when it is this old.
    pub seal_age: Duration,
    /// Where a test lets it fail.
    pub faults: Faults,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            group_commit: Duration::from_millis(20),
            group_rows: 1_000,
            queue_records: 8_192,
            queue_bytes: 64 << 20,
            seal_rows: 100_000,
            seal_bytes: 256 << 20,
            seal_age: Duration::from_hours(6),
            faults: Faults::default(),
        }
    }
}

/// One inference in full, with what was said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceDetail {
    /// The narrow columns.
    pub summary: TraceSummary,
    /// The bytes; absent once their retention has passed.
    pub payload: Option<Payload>,
    /// The feedback, oldest first.
    pub feedback: Vec<FeedbackRecord>,
}

/// What sealing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealReport {
    /// Segments that became parts.
    pub sealed: usize,
    /// Closed segments that are still to be sealed.
    pub left: usize,
}

/// The traces in one folder, which belongs to one process.
#[derive(Debug)]
pub struct TraceStore {
    shared: Arc<Shared>,
    writer: Writer,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// One sealing or forgetting at a time.
    housekeeping: tokio::sync::Mutex<()>,
    stats: StatsCache,
}

impl TraceStore {
    /// Opens the folder, making it when absent: finishes what a crash interrupted, and goes on
    /// with the last segment.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that is in the way.
    pub async fn open(
        folder: &Path,
        catalog: Arc<dyn PartCatalog>,
        clock: Arc<dyn Clock>,
        options: StoreOptions,
    ) -> Result<Arc<Self>> {
        let found = open::recover(folder, &*catalog).await?;
        let queue_bytes = options.queue_bytes;
        let active = found.view.segments.last().filter(|last| {
            last.rows.load(Ordering::Relaxed) < options.seal_rows
                && last.bytes.load(Ordering::Relaxed) < options.seal_bytes
        });
        for segment in &found.view.segments {
            let goes_on = active.is_some_and(|active| Arc::ptr_eq(active, segment));
            segment.closed.store(!goes_on, Ordering::SeqCst);
        }
        let active = active.cloned();
        let shared = Arc::new(Shared::new(
            folder.to_owned(),
            options,
            clock,
            catalog,
            found.last_segment,
            found.view,
        ));
        let counters = Arc::new(Counters::default());
        let started = start(Arc::clone(&shared), Arc::clone(&counters), active)?;
        Ok(Arc::new(Self {
            shared,
            writer: Writer::new(started.queue, queue_bytes, counters),
            thread: Mutex::new(Some(started.thread)),
            housekeeping: tokio::sync::Mutex::default(),
            stats: StatsCache::default(),
        }))
    }

    /// Takes records.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// What is readable now. Holding it keeps its files from being removed.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// Seals every closed segment, and the one being written to when it is old enough. To be
    /// called every few seconds; a failure leaves everything readable and is tried again.
    ///
    /// # Errors
    /// [`TraceStoreError`] of the first segment that could not be sealed.
    pub async fn seal_due(&self) -> Result<SealReport> {
        let now = self.shared.clock.now();
        let age = i64::try_from(self.shared.options.seal_age.as_micros()).unwrap_or(i64::MAX);
        let old = self.view().segments.iter().any(|segment| {
            !segment.closed.load(Ordering::SeqCst)
                && segment.rows.load(Ordering::Relaxed) > 0
                && now.0.saturating_sub(segment.opened_at.0) >= age
        });
        if old {
            self.writer.ask(Command::Rotate).await?;
        }
        self.seal_closed().await
    }

    /// Closes the segment that is written to and seals everything.
    ///
    /// # Errors
    /// [`TraceStoreError`] of the first segment that could not be sealed.
    pub async fn rotate_and_seal(&self) -> Result<SealReport> {
        self.writer.ask(Command::Rotate).await?;
        self.seal_closed().await
    }

    async fn seal_closed(&self) -> Result<SealReport> {
        let _one_at_a_time = self.housekeeping.lock().await;
        let mut report = SealReport::default();
        let mut failure = None;
        for segment in &self.view().segments {
            if !segment.closed.load(Ordering::SeqCst) {
                continue;
            }
            // Compression is heavy: it must not hold up the threads that answer requests.
            let (shared, segment) = (Arc::clone(&self.shared), Arc::clone(segment));
            let runtime = tokio::runtime::Handle::current();
            let sealing = move || runtime.block_on(seal_segment(&shared, &segment));
            match part_rows::blocking(sealing).await {
                Ok(()) => report.sealed += 1,
                Err(error) => {
                    report.left += 1;
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(report), Err)
    }

    /// Retention: drops the parts in which everything is older than `instant`. Returns how many.
    /// Hot segments stay, whatever their age.
    ///
    /// # Errors
    /// [`TraceStoreError::Catalog`] when the parts could not be taken off the catalog.
    pub async fn drop_before(&self, instant: Micros) -> Result<usize> {
        let _one_at_a_time = self.housekeeping.lock().await;
        let view = self.view();
        let old: Vec<_> =
            view.parts.iter().filter(|part| part.part.max_at < instant).cloned().collect();
        if old.is_empty() {
            return Ok(0);
        }
        let ids: Vec<String> = old.iter().map(|part| part.part.part_id.clone()).collect();
        open::note_dropping(&self.shared.part_folder(), &old)?;
        self.shared.catalog.remove(&ids).await?;
        self.shared.hide_parts(&ids);
        for part in &old {
            part.doom();
        }
        Ok(old.len())
    }

    /// How each release fared with calls that started at `since` or later.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that cannot be read.
    pub async fn release_stats(
        &self,
        project: ProjectId,
        since: Micros,
    ) -> Result<Vec<ReleaseStats>> {
        self.stats.stats(&self.view(), project, since).await
    }

    /// Reads every file of every part and compares it with its checksum. Returns what is wrong.
    ///
    /// # Errors
    /// [`TraceStoreError::Interrupted`] when the check itself was cut short.
    pub async fn verify(&self) -> Result<Vec<TraceStoreError>> {
        let view = self.view();
        let check = move || Ok(view.parts.iter().flat_map(|part| part.check_all()).collect());
        part_rows::blocking(check).await
    }

    /// The inference in full, with its feedback; absent when `project` has none of this id.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that cannot be read.
    pub async fn find(&self, project: ProjectId, id: InferenceId) -> Result<Option<TraceDetail>> {
        let view = self.view();
        let Some((summary, payload)) = find_one(&view, project, id).await? else { return Ok(None) };
        let feedback = feedback_on(&view, project, &[id]).await?;
        Ok(Some(TraceDetail { summary, payload, feedback }))
    }

    /// Writes what is queued, commits and closes. Later writes are refused.
    pub async fn shutdown(&self) {
        drop(self.writer.queue.send(Command::Stop).await);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

/// Looks in hot segments, then in the parts whose time is nearest to the id's own.
async fn find_one(
    view: &View,
    project: ProjectId,
    id: InferenceId,
) -> Result<Option<(TraceSummary, Option<Payload>)>> {
    for segment in view.segments.iter().rev() {
        if let Some((summary, payload)) = segment.find(project, id).await? {
            return Ok(Some((summary, Some(payload))));
        }
    }
    let named_at = id.made_at().0;
    let mut parts: Vec<_> = view.parts.iter().filter(|part| part.part.rows > 0).cloned().collect();
    parts.sort_by_key(|part| {
        let (first, last) = (part.part.min_at.0, part.detail.last_start);
        if named_at < first { first - named_at } else { named_at.saturating_sub(last).max(0) }
    });
    part_rows::blocking(move || {
        for part in parts {
            let narrow = part.narrow();
            let Some(summary) = part_rows::summaries_by_id(&narrow, project, &[id])?.pop() else {
                continue;
            };
            let payload = match part.payload() {
                Some(path) => part_rows::payloads_by_id(&path, project, &[id])?.pop(),
                None => None,
            };
            return Ok(Some((summary, payload.map(|(_, payload)| payload))));
        }
        Ok(None)
    })
    .await
}

impl View {
    /// Those of the payloads that are still kept, in no order.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that cannot be read.
    pub async fn payloads(
        &self,
        span: &Span,
        ids: &[InferenceId],
    ) -> Result<Vec<(InferenceId, Payload)>> {
        let mut found = Vec::with_capacity(ids.len());
        for segment in &self.segments {
            let rows = segment.find_many(span.project, ids).await?;
            found.extend(rows.into_iter().map(|(summary, payload)| (summary.id, payload)));
        }
        if found.len() == ids.len() {
            return Ok(found);
        }
        let parts = self.parts_in(span);
        let (project, ids) = (span.project, part_rows::shared_ids(ids));
        let sealed = part_rows::blocking(move || {
            let mut found = Vec::new();
            for path in parts.iter().filter_map(|part| part.payload()) {
                found.extend(part_rows::payloads_by_id(&path, project, &ids)?);
            }
            Ok(found)
        });
        found.extend(sealed.await?);
        Ok(found)
    }

    /// The feedback on these inferences, oldest first, each record once.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that cannot be read.
    pub async fn feedback_on(
        &self,
        project: ProjectId,
        ids: &[InferenceId],
    ) -> Result<Vec<FeedbackRecord>> {
        feedback_on(self, project, ids).await
    }

    /// The feedback of `project` that arrived at `since` or later, oldest first, each record once.
    ///
    /// # Errors
    /// [`TraceStoreError`], naming the file that cannot be read.
    pub async fn feedback_since(
        &self,
        project: ProjectId,
        since: Option<Micros>,
    ) -> Result<Vec<FeedbackRecord>> {
        let mut found = Vec::new();
        for segment in &self.segments {
            found.extend(segment.feedback_since(project, since).await?);
        }
        let parts = self.feedback_parts(since);
        let sealed = part_rows::blocking(move || {
            let mut found = Vec::new();
            for part in parts {
                part.check()?;
                if let Some(path) = part.feedback() {
                    found.extend(part_rows::feedback_since(&path, project, since)?);
                }
            }
            Ok(found)
        });
        found.extend(sealed.await?);
        Ok(each_once(found))
    }

    /// The parts that may hold inferences of `span`.
    #[must_use]
    pub fn parts_in(&self, span: &Span) -> Vec<Arc<PartFiles>> {
        let touches = |part: &&Arc<PartFiles>| {
            part.part.rows > 0 && span.touches(part.part.min_at, Micros(part.detail.last_start))
        };
        self.parts.iter().filter(touches).cloned().collect()
    }

    fn feedback_parts(&self, since: Option<Micros>) -> Vec<Arc<PartFiles>> {
        let recent = |part: &&Arc<PartFiles>| {
            part.detail.feedback_rows > 0
                && since.is_none_or(|since| part.detail.last_feedback >= since.0)
        };
        self.parts.iter().filter(recent).cloned().collect()
    }
}

async fn feedback_on(
    view: &View,
    project: ProjectId,
    ids: &[InferenceId],
) -> Result<Vec<FeedbackRecord>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for segment in &view.segments {
        found.extend(segment.feedback_on(project, ids).await?);
    }
    let (parts, ids) = (view.feedback_parts(None), part_rows::shared_ids(ids));
    let sealed = part_rows::blocking(move || {
        let mut found = Vec::new();
        for path in parts.iter().filter_map(|part| part.feedback()) {
            found.extend(part_rows::feedback_by_id(&path, project, &ids)?);
        }
        Ok(found)
    });
    found.extend(sealed.await?);
    Ok(each_once(found))
}

/// Oldest first; a record that was sent twice, to two segments, counts once.
fn each_once(mut records: Vec<FeedbackRecord>) -> Vec<FeedbackRecord> {
    records.sort_by_key(|record| (record.at, record.id));
    let mut seen = HashSet::new();
    records.retain(|record| seen.insert(record.id));
    records
}
