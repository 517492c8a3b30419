//! Pages by time: hot rows along the index, then sealed parts from the nearest on, until the page
//! is certain to be full.

use crate::compile::condition;
use crate::error::{Result, unexpected};
use crate::feedback_lookup::{FeedbackLookup, by_inference};
use crate::session::LazySession;
use crate::source::{checked, sealed_rows};
use datafusion::prelude::{Expr as Plan, col, lit};
use pelton_ids::{InferenceId, Micros};
use pelton_trace_store::{
    Column, Cursor, FeedbackSummary, Listing, Order, PartFiles, Span, TraceQuery, TraceSummary,
    View, summaries_of,
};
use serde::Serialize;
use std::sync::Arc;

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedTrace {
    /// The narrow columns.
    #[serde(flatten)]
    pub summary: TraceSummary,
    /// The feedback so far.
    pub feedback: FeedbackSummary,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The rows in order.
    pub items: Vec<ListedTrace>,
    /// Where the next page starts; absent on the last.
    pub next: Option<Cursor>,
}

/// Whether the question's filter reads feedback.
pub(crate) fn reads_feedback(query: &TraceQuery) -> bool {
    let mut reads = false;
    if let Some(filter) = &query.filter {
        filter.fields(&mut |field| reads |= field.is_feedback());
    }
    reads
}

/// The span of the query that its cursor leaves: parts outside need not be opened.
pub(crate) fn span_of(query: &TraceQuery) -> Span {
    let mut span = Span { project: query.project, since: query.since, until: query.until };
    if let Some(cursor) = query.cursor {
        match query.order {
            Order::Newest => {
                let end = cursor.started_at.plus(1);
                span.until = Some(span.until.map_or(end, |until| until.min(end)));
            }
            Order::Oldest => {
                let start = cursor.started_at;
                span.since = Some(span.since.map_or(start, |since| since.max(start)));
            }
        }
    }
    span
}

/// The first `query.limit` rows and whether there are more, without their feedback.
pub(crate) async fn list_summaries(
    session: &LazySession,
    view: &View,
    query: &TraceQuery,
    feedback: &FeedbackLookup,
) -> Result<(Vec<TraceSummary>, bool)> {
    let span = span_of(query);
    // One more than asked for tells whether there is a next page.
    let wanted = query.limit + 1;
    let listing = Listing {
        span,
        filter: query.filter.as_ref(),
        feedback: &feedback.0,
        order: query.order,
        after: query.cursor,
        limit: wanted,
    };
    let mut found = Vec::new();
    for segment in &view.segments {
        found.extend(segment.list(&listing).await?);
    }
    keep_first(&mut found, query.order, wanted);

    let mut parts = view.parts_in(&span);
    // The nearest part last, to be popped.
    parts.sort_by_key(|part| match query.order {
        Order::Newest => part.last_start().0,
        Order::Oldest => -part.part().min_at.0,
    });
    let mut at_once = 1;
    while !parts.is_empty() && !is_settled(&found, wanted, &parts, query.order) {
        let rest = parts.len().saturating_sub(at_once);
        let taken = parts.split_off(rest);
        found.extend(list_parts(session, taken, query, &span, feedback, wanted).await?);
        keep_first(&mut found, query.order, wanted);
        // A selective filter has to read on: fewer, larger plans.
        at_once = (at_once * 4).min(64);
    }
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    Ok((found, more))
}

/// The rows with their feedback, as a page.
pub(crate) async fn page(
    view: &View,
    query: &TraceQuery,
    found: Vec<TraceSummary>,
    more: bool,
) -> Result<Page> {
    let ids: Vec<InferenceId> = found.iter().map(|summary| summary.id).collect();
    let feedback = by_inference(&view.feedback_on(query.project, &ids).await?);
    let next = found.last().filter(|_| more).map(cursor_at);
    let listed = |summary: TraceSummary| {
        let feedback = feedback.get(&summary.id).copied().unwrap_or_default();
        ListedTrace { summary, feedback }
    };
    Ok(Page { items: found.into_iter().map(listed).collect(), next })
}

pub(crate) const fn cursor_at(summary: &TraceSummary) -> Cursor {
    Cursor { started_at: summary.started_at, id: summary.id }
}

fn keep_first(found: &mut Vec<TraceSummary>, order: Order, wanted: usize) {
    found.sort_by_key(|summary| (summary.started_at, summary.id));
    if order == Order::Newest {
        found.reverse();
    }
    found.truncate(wanted);
}

/// Whether no unread part can hold a row that belongs before the last one found.
fn is_settled(
    found: &[TraceSummary],
    wanted: usize,
    parts: &[Arc<PartFiles>],
    order: Order,
) -> bool {
    let (Some(last), Some(nearest)) = (found.get(wanted - 1), parts.last()) else { return false };
    match order {
        Order::Newest => nearest.last_start() < last.started_at,
        Order::Oldest => nearest.part().min_at > last.started_at,
    }
}

async fn list_parts(
    session: &LazySession,
    parts: Vec<Arc<PartFiles>>,
    query: &TraceQuery,
    span: &Span,
    feedback: &FeedbackLookup,
    wanted: usize,
) -> Result<Vec<TraceSummary>> {
    let session = session.get()?;
    let parts = checked(parts).await?;
    let mut rows = sealed_rows(session, &parts, span).await?;
    if let Some(cursor) = query.cursor {
        rows = rows.filter(beyond(cursor, query.order))?;
    }
    if let Some(filter) = &query.filter {
        rows = rows.filter(condition(filter, feedback))?;
    }
    let ascending = query.order == Order::Oldest;
    let key = |column: Column| col(column.name()).sort(ascending, false);
    let names = Column::SUMMARY.iter().map(|column| col(column.name())).collect::<Vec<_>>();
    let rows = rows
        .select(names)?
        .sort(vec![key(Column::StartedAt), key(Column::Id)])?
        .limit(0, Some(wanted))?;
    let batches = session.run(async move { Ok(rows.collect().await?) }).await?;
    let mut found = Vec::new();
    for batch in &batches {
        found.extend(summaries_of(batch).map_err(unexpected)?);
    }
    Ok(found)
}

/// Whether a row comes after the cursor.
fn beyond(cursor: Cursor, order: Order) -> Plan {
    let Cursor { started_at: Micros(at), id } = cursor;
    let started = || col(Column::StartedAt.name());
    let (id_column, id) = (col(Column::Id.name()), lit(id.to_string()));
    match order {
        Order::Newest => started().lt(lit(at)).or(started().eq(lit(at)).and(id_column.lt(id))),
        Order::Oldest => started().gt(lit(at)).or(started().eq(lit(at)).and(id_column.gt(id))),
    }
}
