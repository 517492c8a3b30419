//! Reading a few rows of a part by id: bloom filters rule row groups out, the page index skips
//! what does not match, and only then a row's other columns are read.

use crate::column::{BatchRow, Column, FEEDBACK, feedback_of, summaries_of};
use crate::error::{Result, at_part};
use crate::feedback::FeedbackRecord;
use crate::record::{Payload, TraceSummary};
use arrow::array::{Array as _, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::file::metadata::PageIndexPolicy;
use pelton_ids::{InferenceId, Micros, ProjectId};
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

type Builder = ParquetRecordBatchReaderBuilder<File>;

fn open(path: &Path) -> Result<Builder> {
    let file = File::open(path).map_err(at_part(path))?;
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    Builder::try_new_with_options(file, options).map_err(at_part(path))
}

/// The columns `names` of the rows of `project` whose `key` is one of `ids`.
fn rows_by_id(
    path: &Path,
    key: &str,
    ids: &[InferenceId],
    project: ProjectId,
    names: &[&str],
) -> Result<Vec<RecordBatch>> {
    let builder = open(path)?;
    let wanted: HashSet<String> = ids.iter().map(ToString::to_string).collect();
    let position = builder
        .parquet_schema()
        .columns()
        .iter()
        .position(|column| column.name() == key)
        .ok_or_else(|| at_part(path)(format!("it has no column `{key}`")))?;
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        let bloom =
            builder.get_row_group_column_bloom_filter(group, position).map_err(at_part(path))?;
        if bloom.is_none_or(|bloom| wanted.iter().any(|id| bloom.check(&id.as_str()))) {
            groups.push(group);
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let schema = builder.parquet_schema();
    let by_id = ProjectionMask::columns(schema, [key]);
    let by_project = ProjectionMask::columns(schema, ["project"]);
    let columns = ProjectionMask::columns(schema, names.iter().copied());
    let project = project.to_string();
    let filter = RowFilter::new(vec![
        Box::new(ArrowPredicateFn::new(by_id, move |batch| keep(&batch, |id| wanted.contains(id)))),
        Box::new(ArrowPredicateFn::new(by_project, move |batch| keep(&batch, |of| of == project))),
    ]);
    let reader = builder
        .with_row_groups(groups)
        .with_projection(columns)
        .with_row_filter(filter)
        .build()
        .map_err(at_part(path))?;
    reader.collect::<Result<_, _>>().map_err(at_part(path))
}

/// Which rows of a batch of one text column to keep.
fn keep(batch: &RecordBatch, wanted: impl Fn(&str) -> bool) -> Result<BooleanArray, ArrowError> {
    let texts = batch
        .columns()
        .first()
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| ArrowError::SchemaError("an id column holds no text".into()))?;
    Ok(texts.iter().map(|text| text.map(&wanted)).collect())
}

/// Those of the inferences that are in the narrow file `path`.
pub(crate) fn summaries_by_id(
    path: &Path,
    project: ProjectId,
    ids: &[InferenceId],
) -> Result<Vec<TraceSummary>> {
    let names: Vec<&str> = Column::SUMMARY.iter().map(|column| column.name()).collect();
    let mut found = Vec::new();
    for batch in rows_by_id(path, "id", ids, project, &names)? {
        found.extend(summaries_of(&batch).map_err(at_part(path))?);
    }
    Ok(found)
}

/// Those of the payloads that are in the payload file `path`.
pub(crate) fn payloads_by_id(
    path: &Path,
    project: ProjectId,
    ids: &[InferenceId],
) -> Result<Vec<(InferenceId, Payload)>> {
    let names = ["id", "request", "response", "route", "input", "output"];
    let mut found = Vec::new();
    for batch in rows_by_id(path, "id", ids, project, &names)? {
        for row in 0..batch.num_rows() {
            found.push(payload_of(&batch, row).map_err(at_part(path))?);
        }
    }
    Ok(found)
}

fn payload_of(batch: &RecordBatch, row: usize) -> Result<(InferenceId, Payload), String> {
    let column = |name: &str| -> Result<&ArrayRef, String> {
        batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))
    };
    let text = |name: &str| -> Result<Option<String>, String> {
        let array = column(name)?;
        let texts = array.as_string_opt::<i32>().ok_or_else(|| format!("`{name}` is no text"))?;
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    };
    let bytes = |name: &str| -> Result<Option<Vec<u8>>, String> {
        let array = column(name)?;
        let bytes = array.as_binary_opt::<i32>().ok_or_else(|| format!("`{name}` is no bytes"))?;
        Ok(bytes.is_valid(row).then(|| bytes.value(row).to_vec()))
    };
    let id = text("id")?.unwrap_or_default();
    let payload = Payload {
        request: bytes("request")?.unwrap_or_default(),
        response: bytes("response")?,
        route: text("route")?.unwrap_or_default(),
        input: text("input")?,
        output: text("output")?.unwrap_or_default(),
    };
    Ok((id.parse().map_err(|error: pelton_ids::IdError| error.to_string())?, payload))
}

/// The feedback on these inferences in the feedback file `path`.
pub(crate) fn feedback_by_id(
    path: &Path,
    project: ProjectId,
    ids: &[InferenceId],
) -> Result<Vec<FeedbackRecord>> {
    feedback_in(path, rows_by_id(path, "inference_id", ids, project, &FEEDBACK)?)
}

/// The feedback of `project` in the feedback file `path` that arrived at `since` or later.
pub(crate) fn feedback_since(
    path: &Path,
    project: ProjectId,
    since: Option<Micros>,
) -> Result<Vec<FeedbackRecord>> {
    let builder = open(path)?;
    let by_project = ProjectionMask::columns(builder.parquet_schema(), ["project"]);
    let project = project.to_string();
    let predicate =
        ArrowPredicateFn::new(by_project, move |batch| keep(&batch, |of| of == project));
    let reader = builder
        .with_row_filter(RowFilter::new(vec![Box::new(predicate)]))
        .build()
        .map_err(at_part(path))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(at_part(path))?;
    let mut found = feedback_in(path, batches)?;
    found.retain(|record| since.is_none_or(|since| record.at >= since));
    Ok(found)
}

fn feedback_in(path: &Path, batches: Vec<RecordBatch>) -> Result<Vec<FeedbackRecord>> {
    let mut found = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            found.push(feedback_of(&BatchRow { batch, row }).map_err(at_part(path))?);
        }
    }
    Ok(found)
}

/// The columns `release_id` and `status` of the inferences of `project` that started at `since`
/// or later, one call of `visit` for each.
pub(crate) fn visit_outcomes(
    path: &Path,
    project: ProjectId,
    since: Micros,
    mut visit: impl FnMut(Option<&str>, &str),
) -> Result<()> {
    let builder = open(path)?;
    let names = ["project", "started_at", "release_id", "status"];
    let columns = ProjectionMask::columns(builder.parquet_schema(), names);
    let project = project.to_string();
    let reader = builder.with_projection(columns).build().map_err(at_part(path))?;
    for batch in reader {
        let batch = batch.map_err(at_part(path))?;
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|column| column.as_string_opt::<i32>())
                .ok_or_else(|| at_part(path)(format!("it has no text column `{name}`")))
        };
        let (projects, releases, statuses) =
            (text("project")?, text("release_id")?, text("status")?);
        let starts = batch
            .column_by_name("started_at")
            .and_then(|column| column.as_primitive_opt::<arrow::datatypes::Int64Type>())
            .ok_or_else(|| at_part(path)("it has no column `started_at`"))?;
        for row in 0..batch.num_rows() {
            if projects.value(row) == project && starts.value(row) >= since.0 {
                let release = releases.is_valid(row).then(|| releases.value(row));
                visit(release, statuses.value(row));
            }
        }
    }
    Ok(())
}

/// Runs `read` where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| crate::TraceStoreError::Interrupted(error.to_string()))?
}

/// The identifiers, to be moved into a blocking read.
pub(crate) fn shared_ids(ids: &[InferenceId]) -> Arc<[InferenceId]> {
    ids.into()
}
