//! The narrow columns, once: the hot table, the Parquet part and the query engine all read this list.

use crate::feedback::FeedbackRecord;
use crate::record::{Status, TraceSummary};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use pelton_ids::Micros;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

macro_rules! columns {
    ($($variant:ident $name:literal $kind:ident $null:ident),+ $(,)?) => {
        /// A narrow column of an inference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Column {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl Column {
            /// Every column in the order of storage; the two searched texts come last.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stored name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it holds.
            #[must_use]
            pub const fn kind(self) -> ColumnKind {
                match self { $(Self::$variant => ColumnKind::$kind),+ }
            }

            const fn nullable(self) -> bool {
                match self { $(Self::$variant => matches!(Null::$null, Null::Maybe)),+ }
            }
        }
    };
}

enum Null {
    Never,
    Maybe,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Whole numbers.
    Int,
    /// Yes or no.
    Bool,
}

columns! {
    Id "id" Text Never,
    Project "project" Text Never,
    StartedAt "started_at" Int Never,
    TraceId "trace_id" Text Maybe,
    Endpoint "endpoint" Text Never,
    ReleaseId "release_id" Text Maybe,
    ReleaseName "release_name" Text Maybe,
    Model "model" Text Never,
    Provider "provider" Text Never,
    Status "status" Text Never,
    ErrorCode "error_code" Text Maybe,
    Streamed "streamed" Bool Never,
    LatencyUs "latency_us" Int Never,
    TtftUs "ttft_us" Int Maybe,
    PromptTokens "prompt_tokens" Int Maybe,
    CompletionTokens "completion_tokens" Int Maybe,
    CostNanousd "cost_nanousd" Int Maybe,
    ConfigHash "config_hash" Text Maybe,
    PriceVersion "price_version" Text Maybe,
    Unit "unit" Text Maybe,
    Tags "tags" Text Never,
    PreviewInput "preview_input" Text Never,
    PreviewOutput "preview_output" Text Never,
    InputText "input_text" Text Never,
    OutputText "output_text" Text Never,
}

impl Column {
    /// The columns of a [`TraceSummary`]: all but the searched texts.
    pub const SUMMARY: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 2).0;

    const fn data_type(self) -> DataType {
        match self.kind() {
            ColumnKind::Text => DataType::Utf8,
            ColumnKind::Int => DataType::Int64,
            ColumnKind::Bool => DataType::Boolean,
        }
    }

    /// The Arrow schema of these columns.
    #[must_use]
    pub fn schema(columns: &[Self]) -> SchemaRef {
        let field =
            |column: &Self| Field::new(column.name(), column.data_type(), column.nullable());
        Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The names, separated by commas, as SQL lists them.
    pub(crate) fn sql_list(columns: &[Self]) -> String {
        columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
    }
}

/// The columns of feedback, in the order of storage.
pub(crate) const FEEDBACK: [&str; 11] = [
    "id",
    "inference_id",
    "project",
    "at",
    "release_id",
    "score",
    "label",
    "correction",
    "comment",
    "source",
    "given_by",
];

/// The Arrow schema of feedback.
pub(crate) fn feedback_schema() -> SchemaRef {
    let field = |name: &&str| {
        let kind = match *name {
            "at" => DataType::Int64,
            "score" => DataType::Float64,
            _ => DataType::Utf8,
        };
        let required =
            matches!(*name, "id" | "inference_id" | "project" | "at" | "source" | "given_by");
        Field::new(*name, kind, !required)
    };
    Arc::new(Schema::new(FEEDBACK.iter().map(field).collect::<Vec<_>>()))
}

/// A row whose cells are read by position.
pub(crate) trait Cells {
    fn text(&self, at: usize) -> Result<Option<&str>, String>;
    fn int(&self, at: usize) -> Result<Option<i64>, String>;
    fn float(&self, at: usize) -> Result<Option<f64>, String>;
}

impl Cells for SqliteRow {
    fn text(&self, at: usize) -> Result<Option<&str>, String> {
        self.try_get_unchecked(at).map_err(|error| error.to_string())
    }

    fn int(&self, at: usize) -> Result<Option<i64>, String> {
        self.try_get_unchecked(at).map_err(|error| error.to_string())
    }

    fn float(&self, at: usize) -> Result<Option<f64>, String> {
        self.try_get_unchecked(at).map_err(|error| error.to_string())
    }
}

/// One row of a batch whose columns stand in the order of storage.
pub(crate) struct BatchRow<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) row: usize,
}

impl BatchRow<'_> {
    fn array(&self, at: usize) -> Result<Option<&dyn Array>, String> {
        let array =
            self.batch.columns().get(at).ok_or_else(|| format!("column {at} is missing"))?;
        Ok(array.is_valid(self.row).then_some(array.as_ref()))
    }
}

impl Cells for BatchRow<'_> {
    fn text(&self, at: usize) -> Result<Option<&str>, String> {
        let Some(array) = self.array(at)? else { return Ok(None) };
        let texts =
            array.as_string_opt::<i32>().ok_or_else(|| format!("column {at} is no text"))?;
        Ok(Some(texts.value(self.row)))
    }

    fn int(&self, at: usize) -> Result<Option<i64>, String> {
        let Some(array) = self.array(at)? else { return Ok(None) };
        if let Some(flags) = array.as_any().downcast_ref::<BooleanArray>() {
            return Ok(Some(flags.value(self.row).into()));
        }
        let numbers = array
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| format!("column {at} is no number"))?;
        Ok(Some(numbers.value(self.row)))
    }

    fn float(&self, at: usize) -> Result<Option<f64>, String> {
        let Some(array) = self.array(at)? else { return Ok(None) };
        let numbers = array
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| format!("column {at} is no number"))?;
        Ok(Some(numbers.value(self.row)))
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("a row has no {name}"))
}

fn parsed<T: FromStr<Err: Display>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| text.parse().map_err(|error: T::Err| error.to_string())).transpose()
}

/// Reads the columns [`Column::SUMMARY`] of a row.
pub(crate) fn summary_of(row: &impl Cells) -> Result<TraceSummary, String> {
    let text = |column: Column| row.text(column as usize);
    let word = |column: Column| Ok::<_, String>(required(text(column)?, column.name())?.to_owned());
    let words = |column: Column| Ok::<_, String>(text(column)?.map(str::to_owned));
    let int = |column: Column| row.int(column as usize);
    Ok(TraceSummary {
        id: required(parsed(text(Column::Id)?)?, "id")?,
        trace_id: parsed(text(Column::TraceId)?)?,
        project: required(parsed(text(Column::Project)?)?, "project")?,
        started_at: Micros(required(int(Column::StartedAt)?, "started_at")?),
        endpoint: word(Column::Endpoint)?,
        release_id: parsed(text(Column::ReleaseId)?)?,
        release_name: words(Column::ReleaseName)?,
        model: word(Column::Model)?,
        provider: word(Column::Provider)?,
        status: required(parsed::<Status>(text(Column::Status)?)?, "status")?,
        error_code: words(Column::ErrorCode)?,
        streamed: required(int(Column::Streamed)?, "streamed")? != 0,
        latency_us: required(int(Column::LatencyUs)?, "latency_us")?,
        ttft_us: int(Column::TtftUs)?,
        prompt_tokens: int(Column::PromptTokens)?,
        completion_tokens: int(Column::CompletionTokens)?,
        cost_nanousd: int(Column::CostNanousd)?,
        config_hash: words(Column::ConfigHash)?,
        price_version: words(Column::PriceVersion)?,
        unit: words(Column::Unit)?,
        tags: serde_json::from_str(required(text(Column::Tags)?, "tags")?)
            .map_err(|error| format!("tags: {error}"))?,
        preview_input: word(Column::PreviewInput)?,
        preview_output: word(Column::PreviewOutput)?,
    })
}

/// Reads the columns [`FEEDBACK`] of a row.
pub(crate) fn feedback_of(row: &impl Cells) -> Result<FeedbackRecord, String> {
    let words = |at: usize| Ok::<_, String>(row.text(at)?.map(str::to_owned));
    Ok(FeedbackRecord {
        id: required(parsed(row.text(0)?)?, "id")?,
        inference_id: required(parsed(row.text(1)?)?, "inference_id")?,
        project: required(parsed(row.text(2)?)?, "project")?,
        at: Micros(required(row.int(3)?, "at")?),
        release_id: parsed(row.text(4)?)?,
        score: row.float(5)?,
        label: words(6)?,
        correction: words(7)?,
        comment: words(8)?,
        source: required(words(9)?, "source")?,
        by: required(words(10)?, "given_by")?,
    })
}

/// Reads every row of a batch whose columns are [`Column::SUMMARY`] (or more, in that order).
///
/// # Errors
/// A text that says which value is not as it was written.
pub fn summaries_of(batch: &RecordBatch) -> Result<Vec<TraceSummary>, String> {
    (0..batch.num_rows()).map(|row| summary_of(&BatchRow { batch, row })).collect()
}
