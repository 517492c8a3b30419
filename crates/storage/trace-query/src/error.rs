//! Why a question about traces was not answered.

use datafusion::error::DataFusionError;
use pelton_trace_store::{QueryError, TraceStoreError};

/// A question that was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceQueryError {
    /// The question makes no sense: change it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A file cannot be read; the message names it.
    #[error(transparent)]
    Store(#[from] TraceStoreError),
    /// The question needs more memory than queries may use: narrow its time, or group by less.
    #[error("the query needs more memory than queries may use: ask for less time or fewer groups")]
    TooLarge,
    /// The query engine failed.
    #[error("the query failed: {0}")]
    Engine(String),
}

pub(crate) type Result<T, E = TraceQueryError> = std::result::Result<T, E>;

impl From<DataFusionError> for TraceQueryError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::TooLarge,
            root => Self::Engine(root.strip_backtrace()),
        }
    }
}

/// A value that the engine gave back in another shape than it was asked for.
pub(crate) fn unexpected(what: impl Into<String>) -> TraceQueryError {
    TraceQueryError::Engine(what.into())
}
