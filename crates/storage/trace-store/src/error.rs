//! What can go wrong with traces, split by what the caller can do about it.

use crate::catalog::CatalogError;
use crate::query::QueryError;
use std::path::{Path, PathBuf};

/// An operation on the trace store that was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceStoreError {
    /// The folder or a file in it cannot be used.
    #[error("the trace file {path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A hot segment is damaged or unreadable.
    #[error(
        "the trace segment {path} cannot be read: {reason}; restore it from a backup, or move it away to go on without its rows"
    )]
    Segment {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A sealed part is damaged, missing or unreadable.
    #[error(
        "the trace part {path} cannot be read: {reason}; restore it from a backup, or drop the time it covers"
    )]
    Part {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A part could not be written. Nothing is lost: the segment stays, and is sealed later.
    #[error(
        "the trace part {path} could not be written: {reason}; its traces stay in their segment until it can be"
    )]
    Unsealed {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The catalog of parts failed.
    #[error("the catalog of trace parts failed")]
    Catalog(#[from] CatalogError),
    /// The question makes no sense.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The write was not done.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A background task ended before its work was done.
    #[error("the trace store's work was interrupted: {0}")]
    Interrupted(String),
}

/// A record that is not known to be on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The commit failed; nothing of the record is kept. Worth trying again.
    #[error("the record was not stored: {0}")]
    Failed(String),
    /// The disk is full. Reads go on; writes will when space is made.
    #[error("the record was not stored: the disk that holds the traces is full, free some space")]
    DiskFull,
    /// The record is larger than the store takes.
    #[error("the record has {bytes} bytes, more than the {most} that the store takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The store is shut down.
    #[error("the record was not stored: the trace store is shut down")]
    Closed,
}

pub(crate) type Result<T, E = TraceStoreError> = std::result::Result<T, E>;

/// Names the file in an I/O error.
pub(crate) fn at_file(path: &Path) -> impl Fn(std::io::Error) -> TraceStoreError + '_ {
    |source| TraceStoreError::File { path: path.to_owned(), source }
}

/// Names the segment in an error.
pub(crate) fn at_segment<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> TraceStoreError + '_ {
    |error| TraceStoreError::Segment { path: path.to_owned(), reason: error.to_string() }
}

/// Names the part in an error.
pub(crate) fn at_part<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> TraceStoreError + '_ {
    |error| TraceStoreError::Part { path: path.to_owned(), reason: error.to_string() }
}

/// Names the part that could not be written.
pub(crate) fn at_draft<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> TraceStoreError + '_ {
    |error| TraceStoreError::Unsealed { path: path.to_owned(), reason: error.to_string() }
}
