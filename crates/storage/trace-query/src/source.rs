//! The rows that a plan starts from: hot ones from memory, sealed ones from their files.

use crate::error::{Result, TraceQueryError, unexpected};
use crate::session::Session;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::prelude::{Expr as Plan, ParquetReadOptions, col, lit};
use pelton_trace_store::{Column, PartFiles, Span, View};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Whether a row lies in `span`.
fn within(span: &Span) -> Plan {
    let mut condition = col(Column::Project.name()).eq(lit(span.project.to_string()));
    if let Some(since) = span.since {
        condition = condition.and(col(Column::StartedAt.name()).gt_eq(lit(since.0)));
    }
    if let Some(until) = span.until {
        condition = condition.and(col(Column::StartedAt.name()).lt(lit(until.0)));
    }
    condition
}

/// Checks the parts against their checksums at their first use.
pub(crate) async fn checked(parts: Vec<Arc<PartFiles>>) -> Result<Vec<Arc<PartFiles>>> {
    let check = move || {
        parts.iter().try_for_each(|part| part.check())?;
        Ok::<_, TraceQueryError>(parts)
    };
    tokio::task::spawn_blocking(check).await.map_err(|error| unexpected(error.to_string()))?
}

/// The path as a URL, so that no character in it is taken for a pattern.
fn url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// The `columns` of the rows of `span` in these parts.
pub(crate) async fn sealed_rows(
    session: &Session,
    parts: &[Arc<PartFiles>],
    span: &Span,
) -> Result<DataFrame> {
    let mut urls = Vec::with_capacity(parts.len());
    for part in parts {
        let path = part.narrow();
        let path = std::path::absolute(&path).map_err(|error| unexpected(error.to_string()))?;
        urls.push(url(&path));
    }
    let schema = Column::schema(Column::ALL);
    let options = ParquetReadOptions::default().schema(&schema).parquet_pruning(true);
    let rows = session.context().read_parquet(urls, options).await?;
    Ok(rows.filter(within(span))?)
}

/// The `columns` of the rows of `span`, hot and sealed.
pub(crate) async fn all_rows(
    session: &Session,
    view: &View,
    span: &Span,
    columns: &[Column],
) -> Result<DataFrame> {
    let mut batches = Vec::new();
    for segment in &view.segments {
        batches.extend(segment.batches(span, columns).await?);
    }
    let hot = MemTable::try_new(Column::schema(columns), vec![batches])?;
    let hot = session.context().read_table(Arc::new(hot))?;
    let parts = checked(view.parts_in(span)).await?;
    if parts.is_empty() {
        return Ok(hot);
    }
    let sealed = sealed_rows(session, &parts, span).await?;
    let names = columns.iter().map(|column| col(column.name())).collect::<Vec<_>>();
    Ok(hot.union(sealed.select(names)?)?)
}
