//! Reading a hot segment. Every read names its project.

use crate::column::{Cells as _, Column, ColumnKind, FEEDBACK, feedback_of, summary_of};
use crate::error::{Result, at_segment};
use crate::feedback::{FeedbackRecord, FeedbackSummary};
use crate::payload_body::unpack;
use crate::query::{Cursor, Expr, Order, Row};
use crate::record::{Payload, TraceSummary};
use crate::segment::Segment;
use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::error::ArrowError;
use futures_util::TryStreamExt as _;
use pelton_ids::{InferenceId, Micros, ProjectId};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;
use std::collections::HashMap;
use std::sync::Arc;

const BATCH_ROWS: usize = 8_192;
/// Parameters of one lookup by id, well below SQLite's limit.
const IDS_AT_ONCE: usize = 500;

/// A stretch of one project's time. Both ends are optional; `until` is not part of it.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The tenant.
    pub project: ProjectId,
    /// From here on.
    pub since: Option<Micros>,
    /// Before this.
    pub until: Option<Micros>,
}

impl Span {
    const fn ends(&self) -> (i64, i64) {
        let since = match self.since {
            Some(since) => since.0,
            None => i64::MIN,
        };
        let until = match self.until {
            Some(until) => until.0,
            None => i64::MAX,
        };
        (since, until)
    }

    /// Whether anything from `first` to `last`, both included, may lie in it.
    #[must_use]
    pub const fn touches(&self, first: Micros, last: Micros) -> bool {
        let (since, until) = self.ends();
        last.0 >= since && first.0 < until
    }
}

/// What a list reads from one segment.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// Which time.
    pub span: Span,
    /// Which rows.
    pub filter: Option<&'a Expr>,
    /// The feedback that the filter asks for.
    pub feedback: &'a HashMap<InferenceId, FeedbackSummary>,
    /// Which end first.
    pub order: Order,
    /// After which row.
    pub after: Option<Cursor>,
    /// How many rows.
    pub limit: usize,
}

impl Segment {
    /// The first rows of the listing, read in order along the index, so that it stops early.
    ///
    /// # Errors
    /// [`crate::TraceStoreError::Segment`] when the file cannot be read.
    pub async fn list(&self, listing: &Listing<'_>) -> Result<Vec<TraceSummary>> {
        let failed = at_segment(&self.path);
        let searches = listing.filter.is_some_and(Expr::searches_text);
        let columns = if searches { Column::ALL } else { Column::SUMMARY };
        let (beyond, direction) = match listing.order {
            Order::Newest => ("<", "DESC"),
            Order::Oldest => (">", "ASC"),
        };
        let after = if listing.after.is_some() {
            format!("AND (started_at, id) {beyond} ($4, $5)")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT {} FROM inference WHERE project = $1 AND started_at >= $2 AND started_at < $3
             {after} ORDER BY started_at {direction}, id {direction}",
            Column::sql_list(columns)
        );
        let (since, until) = listing.span.ends();
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(listing.span.project.to_string())
            .bind(since)
            .bind(until);
        if let Some(cursor) = listing.after {
            query = query.bind(cursor.started_at.0).bind(cursor.id.to_string());
        }
        let mut found = Vec::new();
        let mut rows = query.fetch(self.readers());
        while found.len() < listing.limit
            && let Some(row) = rows.try_next().await.map_err(&failed)?
        {
            let summary = summary_of(&row).map_err(at_segment(&self.path))?;
            let admitted = match listing.filter {
                None => true,
                Some(filter) => {
                    let text = |column: Column| {
                        if searches { row.text(column as usize) } else { Ok(None) }
                    };
                    filter.matches(&Row {
                        summary: &summary,
                        feedback: listing.feedback.get(&summary.id).copied().unwrap_or_default(),
                        input: text(Column::InputText)
                            .map_err(at_segment(&self.path))?
                            .unwrap_or(""),
                        output: text(Column::OutputText)
                            .map_err(at_segment(&self.path))?
                            .unwrap_or(""),
                    })
                }
            };
            if admitted {
                found.push(summary);
            }
        }
        Ok(found)
    }

    /// The rows of `span` as Arrow batches of `columns`, in no order.
    ///
    /// # Errors
    /// [`crate::TraceStoreError::Segment`] when the file cannot be read.
    pub async fn batches(&self, span: &Span, columns: &[Column]) -> Result<Vec<RecordBatch>> {
        let failed = at_segment(&self.path);
        let listed = if columns.is_empty() { "seq".into() } else { Column::sql_list(columns) };
        let sql = format!(
            "SELECT {listed} FROM inference WHERE project = $1 AND started_at >= $2 AND started_at < $3"
        );
        let (since, until) = span.ends();
        let mut rows = sqlx::query(AssertSqlSafe(sql))
            .bind(span.project.to_string())
            .bind(since)
            .bind(until)
            .fetch(self.readers());
        let mut batches = Vec::new();
        let mut builder = BatchBuilder::new(columns);
        while let Some(row) = rows.try_next().await.map_err(&failed)? {
            builder.append(&row).map_err(at_segment(&self.path))?;
            if builder.rows == BATCH_ROWS {
                batches.push(builder.finish().map_err(at_segment(&self.path))?);
            }
        }
        if builder.rows > 0 {
            batches.push(builder.finish().map_err(at_segment(&self.path))?);
        }
        Ok(batches)
    }

    /// The inference in full.
    pub(crate) async fn find(
        &self,
        project: ProjectId,
        id: InferenceId,
    ) -> Result<Option<(TraceSummary, Payload)>> {
        Ok(self.find_many(project, &[id]).await?.pop())
    }

    /// Those of the inferences that are here, in full, in no order.
    pub(crate) async fn find_many(
        &self,
        project: ProjectId,
        ids: &[InferenceId],
    ) -> Result<Vec<(TraceSummary, Payload)>> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let sql = format!(
                "SELECT {}, body FROM inference JOIN payload USING (seq)
                 WHERE project = $1 AND id IN ({})",
                Column::sql_list(Column::SUMMARY),
                placeholders(2, ids.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(project.to_string());
            for id in ids {
                query = query.bind(id.to_string());
            }
            for row in query.fetch_all(self.readers()).await.map_err(at_segment(&self.path))? {
                let summary = summary_of(&row).map_err(at_segment(&self.path))?;
                let body = body_of(&row, Column::SUMMARY.len()).map_err(at_segment(&self.path))?;
                found.push((summary, unpack(body).map_err(at_segment(&self.path))?));
            }
        }
        Ok(found)
    }

    /// The feedback of `project` that arrived at `since` or later.
    pub(crate) async fn feedback_since(
        &self,
        project: ProjectId,
        since: Option<Micros>,
    ) -> Result<Vec<FeedbackRecord>> {
        let sql =
            format!("SELECT {} FROM feedback WHERE project = $1 AND at >= $2", FEEDBACK.join(", "));
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(project.to_string())
            .bind(since.map_or(i64::MIN, |since| since.0));
        let rows = query.fetch_all(self.readers()).await.map_err(at_segment(&self.path))?;
        rows.iter().map(feedback_of).collect::<Result<_, _>>().map_err(at_segment(&self.path))
    }

    /// The feedback on these inferences.
    pub(crate) async fn feedback_on(
        &self,
        project: ProjectId,
        ids: &[InferenceId],
    ) -> Result<Vec<FeedbackRecord>> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let sql = format!(
                "SELECT {} FROM feedback WHERE project = $1 AND inference_id IN ({})",
                FEEDBACK.join(", "),
                placeholders(2, ids.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(project.to_string());
            for id in ids {
                query = query.bind(id.to_string());
            }
            for row in query.fetch_all(self.readers()).await.map_err(at_segment(&self.path))? {
                found.push(feedback_of(&row).map_err(at_segment(&self.path))?);
            }
        }
        Ok(found)
    }
}

fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

/// The packed payload in the column at `at`.
pub(crate) fn body_of(row: &SqliteRow, at: usize) -> Result<&[u8], String> {
    use sqlx::Row as _;
    row.try_get_unchecked(at).map_err(|error| error.to_string())
}

enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
}

/// Gathers SQLite rows into an Arrow batch.
pub(crate) struct BatchBuilder {
    columns: Vec<Column>,
    builders: Vec<Builder>,
    pub(crate) rows: usize,
}

impl BatchBuilder {
    pub(crate) fn new(columns: &[Column]) -> Self {
        let builder = |column: &Column| match column.kind() {
            ColumnKind::Text => Builder::Text(StringBuilder::new()),
            ColumnKind::Int => Builder::Int(Int64Builder::new()),
            ColumnKind::Bool => Builder::Bool(BooleanBuilder::new()),
        };
        Self { columns: columns.to_vec(), builders: columns.iter().map(builder).collect(), rows: 0 }
    }

    pub(crate) fn append(&mut self, row: &SqliteRow) -> Result<(), String> {
        for (at, builder) in self.builders.iter_mut().enumerate() {
            match builder {
                Builder::Text(texts) => texts.append_option(row.text(at)?),
                Builder::Int(numbers) => numbers.append_option(row.int(at)?),
                Builder::Bool(flags) => flags.append_option(row.int(at)?.map(|flag| flag != 0)),
            }
        }
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let finish = |builder: &mut Builder| -> ArrayRef {
            match builder {
                Builder::Text(texts) => Arc::new(texts.finish()),
                Builder::Int(numbers) => Arc::new(numbers.finish()),
                Builder::Bool(flags) => Arc::new(flags.finish()),
            }
        };
        let arrays = self.builders.iter_mut().map(finish).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Column::schema(&self.columns), arrays, &rows)
    }
}
