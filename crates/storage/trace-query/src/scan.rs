//! All matching traces with their payloads and feedback, page by page, for datasets.

use crate::engine::TraceEngine;
use crate::error::Result;
use crate::feedback_lookup::FeedbackLookup;
use crate::list::{cursor_at, list_summaries, reads_feedback};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use pelton_ids::{InferenceId, Micros};
use pelton_trace_store::{FeedbackRecord, Payload, Span, TraceDetail, TraceQuery, View};
use std::collections::{HashMap, VecDeque};

/// Rows that are read together.
const PAGE_ROWS: usize = 256;

struct Scan {
    engine: TraceEngine,
    query: TraceQuery,
    /// Rows still wanted.
    left: usize,
    ready: VecDeque<TraceDetail>,
}

/// Starts where the query says and ends after `limit` rows, which may be any number here.
pub(crate) fn scan(
    engine: TraceEngine,
    query: TraceQuery,
) -> impl Stream<Item = Result<TraceDetail>> + Send {
    let left = query.limit;
    let scan = Scan { engine, query, left, ready: VecDeque::new() };
    try_unfold(scan, |mut scan| async move {
        if scan.ready.is_empty() && scan.left > 0 {
            scan.read_page().await?;
        }
        Ok(scan.ready.pop_front().map(|row| (row, scan)))
    })
}

impl Scan {
    async fn read_page(&mut self) -> Result<()> {
        self.query.limit = self.left.min(PAGE_ROWS);
        self.query.validate()?;
        // Rows, payloads and feedback are read from one view: none moves in between.
        let view = self.engine.store().view();
        let feedback = if reads_feedback(&self.query) {
            FeedbackLookup::load(&view, self.query.project, self.query.since).await?
        } else {
            FeedbackLookup::default()
        };
        let session = self.engine.session();
        let (found, more) = list_summaries(session, &view, &self.query, &feedback).await?;
        self.left = if more { self.left - found.len() } else { 0 };
        self.query.cursor = found.last().map(cursor_at);

        let ids: Vec<InferenceId> = found.iter().map(|summary| summary.id).collect();
        let (mut payloads, mut judgments) = self.details(&view, &ids, &found).await?;
        self.ready = found
            .into_iter()
            .map(|summary| TraceDetail {
                payload: payloads.remove(&summary.id),
                feedback: judgments.remove(&summary.id).unwrap_or_default(),
                summary,
            })
            .collect();
        Ok(())
    }

    async fn details(
        &self,
        view: &View,
        ids: &[InferenceId],
        found: &[pelton_trace_store::TraceSummary],
    ) -> Result<(HashMap<InferenceId, Payload>, HashMap<InferenceId, Vec<FeedbackRecord>>)> {
        let starts = || found.iter().map(|summary| summary.started_at);
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
            return Ok(<_>::default());
        };
        let until = Some(Micros(last.0.saturating_add(1)));
        let span = Span { project: self.query.project, since: Some(first), until };
        let payloads = view.payloads(&span, ids).await?.into_iter().collect();
        let mut judgments: HashMap<InferenceId, Vec<FeedbackRecord>> = HashMap::new();
        for record in view.feedback_on(self.query.project, ids).await? {
            judgments.entry(record.inference_id).or_default().push(record);
        }
        Ok((payloads, judgments))
    }
}
