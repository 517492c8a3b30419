//! One record for every call: durable hot segments, sealed into Parquet parts. Cannot reach
//! DataFusion, HTTP or the metadata store: the catalog of parts is a trait.
//!
//! A record goes queue → [`Writer`] thread → hot [`Segment`] (SQLite, whose WAL is the log, one
//! fsync for each group) → sealed part (narrow, payload and feedback as Parquet) → catalog. The
//! catalog's commit is the only moment at which a record moves from hot to sealed, and a [`View`]
//! shows it on one side or on the other.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod catalog;
mod column;
mod error;
mod fault;
mod feedback;
mod part_files;
mod part_rows;
mod part_writer;
mod payload_body;
mod query;
mod record;
mod release_stats;
mod seal_segment;
mod segment;
mod segment_rows;
mod shared;
mod store;
mod writer;

pub use catalog::{
    CatalogError, FileSeal, MemoryCatalog, Part, PartCatalog, PartDetail, SqliteCatalog,
};
pub use column::{Column, ColumnKind, summaries_of};
pub use error::{TraceStoreError, WriteError};
pub use fault::{Faults, Step};
pub use feedback::{FeedbackRecord, FeedbackSummary, latest_correction};
pub use part_files::PartFiles;
pub use query::{
    Aggregate, AggregateQuery, BadCursor, Cursor, Expr, Field, GroupKey, Kind, Op, Order,
    QueryError, Row, TimeUnit, TraceQuery, Value,
};
pub use record::{
    PREVIEW_CHARS, Payload, SEARCHED_BYTES, Status, TraceRecord, TraceSummary, last_user_text,
};
pub use release_stats::ReleaseStats;
pub use segment::Segment;
pub use segment_rows::{Listing, Span};
pub use shared::View;
pub use store::{SealReport, StoreOptions, TraceDetail, TraceStore};
pub use writer::{MAX_RECORD_BYTES, Writer, WriterCounters};
