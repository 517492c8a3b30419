//! Writing a part's Parquet files: Zstandard, a bloom filter on the id, small row groups and pages
//! so that one row can be read without its neighbors.

use crate::column::{Cells as _, Column, feedback_schema};
use crate::error::{Result, at_draft};
use crate::payload_body::unpack;
use arrow::array::{BinaryBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sqlx::sqlite::SqliteRow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROW_GROUP_ROWS: usize = 32_768;
const ROW_GROUP_BYTES: usize = 64 << 20;
const PAGE_BYTES: usize = 64 << 10;
const PAGE_ROWS: usize = 2_048;
const FALSE_POSITIVES: f64 = 0.005;
const ZSTD_LEVEL: i32 = 3;
/// A batch of payloads is written at this many rows or bytes, whichever is first.
const PAYLOAD_ROWS: usize = 1_024;
const PAYLOAD_BYTES: usize = 32 << 20;

/// One Parquet file in the making.
pub(crate) struct PartWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
}

impl PartWriter {
    /// Starts the file; point lookups will go by the column `key`.
    pub(crate) fn create(path: &Path, schema: SchemaRef, key: &str) -> Result<Self> {
        let file = File::create(path).map_err(at_draft(path))?;
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(at_draft(path))?;
        let key = ColumnPath::from(key);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_data_page_size_limit(PAGE_BYTES)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_column_bloom_filter_enabled(key.clone(), true)
            .set_column_bloom_filter_fpp(key.clone(), FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(key.clone(), ROW_GROUP_ROWS as u64)
            .set_column_dictionary_enabled(key, false);
        for long in ["request", "response", "route", "input", "output", "input_text", "output_text"]
        {
            // Statistics of long texts prune nothing and cost space.
            properties = properties
                .set_column_statistics_enabled(ColumnPath::from(long), EnabledStatistics::None)
                .set_column_dictionary_enabled(ColumnPath::from(long), long == "route");
        }
        let writer =
            ArrowWriter::try_new(file, schema, Some(properties.build())).map_err(at_draft(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.writer.write(batch).map_err(at_draft(&self.path))
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(self) -> Result<()> {
        let file = self.writer.into_inner().map_err(at_draft(&self.path))?;
        file.sync_all().map_err(at_draft(&self.path))
    }
}

/// The columns of a payload file.
pub(crate) fn payload_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("project", DataType::Utf8, false),
        Field::new("request", DataType::Binary, false),
        Field::new("response", DataType::Binary, true),
        Field::new("route", DataType::Utf8, false),
        Field::new("input", DataType::Utf8, true),
        Field::new("output", DataType::Utf8, false),
    ]))
}

/// Gathers packed payloads into a batch of [`payload_schema`].
#[derive(Default)]
pub(crate) struct PayloadBuilder {
    id: StringBuilder,
    project: StringBuilder,
    request: BinaryBuilder,
    response: BinaryBuilder,
    route: StringBuilder,
    input: StringBuilder,
    output: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl PayloadBuilder {
    /// Adds the payload of `row`, whose columns are those of the narrow table.
    pub(crate) fn append(&mut self, row: &SqliteRow, body: &[u8]) -> Result<(), String> {
        let payload = unpack(body)?;
        self.id.append_option(row.text(Column::Id as usize)?);
        self.project.append_option(row.text(Column::Project as usize)?);
        self.rows += 1;
        self.bytes += payload.request.len()
            + payload.response.as_ref().map_or(0, Vec::len)
            + payload.output.len();
        self.request.append_value(payload.request);
        self.response.append_option(payload.response);
        self.route.append_value(payload.route);
        self.input.append_option(payload.input);
        self.output.append_value(payload.output);
        Ok(())
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.rows >= PAYLOAD_ROWS || self.bytes >= PAYLOAD_BYTES
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(
            payload_schema(),
            vec![
                Arc::new(self.id.finish()),
                Arc::new(self.project.finish()),
                Arc::new(self.request.finish()),
                Arc::new(self.response.finish()),
                Arc::new(self.route.finish()),
                Arc::new(self.input.finish()),
                Arc::new(self.output.finish()),
            ],
        )
    }
}

/// The rows of a feedback table as a batch.
pub(crate) fn feedback_batch(rows: &[SqliteRow]) -> Result<RecordBatch, String> {
    let schema = feedback_schema();
    let mut arrays: Vec<arrow::array::ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        match field.data_type() {
            DataType::Int64 => {
                let mut numbers = Int64Builder::with_capacity(rows.len());
                for row in rows {
                    numbers.append_option(row.int(at)?);
                }
                arrays.push(Arc::new(numbers.finish()));
            }
            DataType::Float64 => {
                let mut numbers = Float64Builder::with_capacity(rows.len());
                for row in rows {
                    numbers.append_option(row.float(at)?);
                }
                arrays.push(Arc::new(numbers.finish()));
            }
            _ => {
                let mut texts = StringBuilder::new();
                for row in rows {
                    texts.append_option(row.text(at)?);
                }
                arrays.push(Arc::new(texts.finish()));
            }
        }
    }
    RecordBatch::try_new(schema, arrays).map_err(|error| error.to_string())
}
