//! One transaction: all of a batch or nothing of it.

use crate::column::{Column, FEEDBACK};
use crate::error::WriteError;
use crate::feedback::FeedbackRecord;
use crate::payload_body::Packer;
use crate::record::{SEARCHED_BYTES, TraceRecord, TraceSummary, first_bytes};
use crate::writer::Command;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Error};
use std::sync::LazyLock;

static INSERT_TRACE: LazyLock<String> =
    LazyLock::new(|| insert("inference", Column::ALL.iter().map(|column| column.name())));
static INSERT_FEEDBACK: LazyLock<String> =
    LazyLock::new(|| insert("feedback", FEEDBACK.into_iter()));

fn insert(table: &str, columns: impl Iterator<Item = &'static str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let values: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT (id) DO NOTHING",
        columns.join(", "),
        values.join(", ")
    )
}

/// Writes the records of the batch and makes them durable. Returns how many rows and about how
/// many bytes were new.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    packer: &mut Packer,
    batch: &mut [Command],
) -> Result<(i64, i64), Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let mut written = (0, 0);
    for command in batch {
        let (rows, bytes) = match command {
            Command::Trace { record, .. } => insert_trace(connection, packer, record).await?,
            Command::Feedback { record, .. } => insert_feedback(connection, record).await?,
            Command::Flush(_) | Command::Rotate(_) | Command::Stop => (0, 0),
        };
        written = (written.0 + rows, written.1 + bytes);
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(written)
}

async fn insert_trace(
    connection: &mut SqliteConnection,
    packer: &mut Packer,
    record: &mut TraceRecord,
) -> Result<(i64, i64), Error> {
    record.complete();
    let TraceRecord { summary, payload } = &*record;
    let TraceSummary {
        id,
        trace_id,
        project,
        started_at,
        endpoint,
        release_id,
        release_name,
        model,
        provider,
        status,
        error_code,
        streamed,
        latency_us,
        ttft_us,
        prompt_tokens,
        completion_tokens,
        cost_nanousd,
        config_hash,
        price_version,
        unit,
        tags,
        preview_input,
        preview_output,
    } = summary;
    let tags = serde_json::to_string(tags).map_err(|error| Error::Encode(Box::new(error)))?;
    let input = first_bytes(payload.input.as_deref().unwrap_or_default(), SEARCHED_BYTES);
    let output = first_bytes(&payload.output, SEARCHED_BYTES);
    let written = sqlx::query(AssertSqlSafe(INSERT_TRACE.as_str()))
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(started_at.0)
        .bind(trace_id.map(|id| id.to_string()))
        .bind(endpoint)
        .bind(release_id.map(|id| id.to_string()))
        .bind(release_name)
        .bind(model)
        .bind(provider)
        .bind(status.as_str())
        .bind(error_code)
        .bind(*streamed)
        .bind(*latency_us)
        .bind(*ttft_us)
        .bind(*prompt_tokens)
        .bind(*completion_tokens)
        .bind(*cost_nanousd)
        .bind(config_hash)
        .bind(price_version)
        .bind(unit)
        .bind(&tags)
        .bind(preview_input)
        .bind(preview_output)
        .bind(input)
        .bind(output)
        .execute(&mut *connection)
        .await?;
    if written.rows_affected() == 0 {
        return Ok((0, 0));
    }
    let body = packer.pack(payload)?;
    let bytes = 600 + body.len() + input.len() + output.len();
    sqlx::query("INSERT INTO payload (seq, body) VALUES ($1, $2)")
        .bind(written.last_insert_rowid())
        .bind(body)
        .execute(connection)
        .await?;
    Ok((1, i64::try_from(bytes).unwrap_or(i64::MAX)))
}

async fn insert_feedback(
    connection: &mut SqliteConnection,
    record: &FeedbackRecord,
) -> Result<(i64, i64), Error> {
    let FeedbackRecord {
        id,
        inference_id,
        project,
        at,
        release_id,
        score,
        label,
        correction,
        comment,
        source,
        by,
    } = record;
    let written = sqlx::query(AssertSqlSafe(INSERT_FEEDBACK.as_str()))
        .bind(id.to_string())
        .bind(inference_id.to_string())
        .bind(project.to_string())
        .bind(at.0)
        .bind(release_id.map(|id| id.to_string()))
        .bind(*score)
        .bind(label)
        .bind(correction)
        .bind(comment)
        .bind(source)
        .bind(by)
        .execute(connection)
        .await?;
    let rows = i64::try_from(written.rows_affected()).unwrap_or(i64::MAX);
    Ok((rows, rows * i64::try_from(record.weight()).unwrap_or(i64::MAX)))
}

/// What the caller of a failed write is told.
pub(super) fn write_error(error: &Error) -> WriteError {
    const SQLITE_FULL: &str = "13";
    let full = match error {
        Error::Database(error) => error.code().as_deref() == Some(SQLITE_FULL),
        Error::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    };
    if full { WriteError::DiskFull } else { WriteError::Failed(error.to_string()) }
}
