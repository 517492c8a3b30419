//! What handlers reach: the stores, and what the binary tells of its parts.

use crate::authenticate::Authenticator;
use crate::wire::overview::Engine;
use pelton_artifacts::Artifacts;
use pelton_ids::Micros;
use pelton_metadata::Store;
use pelton_trace_query::TraceEngine;
use pelton_trace_store::Writer;
use std::sync::Arc;

/// Tells how the embedded engine fares.
pub trait EngineStatus: Send + Sync {
    /// Its state, its bases and its adapters.
    fn engine(&self) -> Engine;
}

/// Makes random bytes that nobody can foresee.
pub trait Random: Send + Sync {
    /// 32 of them.
    ///
    /// # Errors
    /// When the operating system gives none.
    fn bytes(&self) -> std::io::Result<[u8; 32]>;
}

/// What handlers reach.
pub struct Api {
    /// Metadata.
    pub store: Store,
    /// Blobs.
    pub artifacts: Artifacts,
    /// Takes feedback in.
    pub trace_writer: Writer,
    /// Answers questions about traces.
    pub traces: Arc<TraceEngine>,
    /// Tells who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Tells how the embedded engine fares.
    pub engine: Arc<dyn EngineStatus>,
    /// Fresh random bytes for keys.
    pub random: Arc<dyn Random>,
    /// When the server was started.
    pub started_at: Micros,
    /// Pelton's version.
    pub version: &'static str,
    /// Bytes of a body at most.
    pub max_body_bytes: usize,
    /// Bytes of a blob at most.
    pub max_blob_bytes: u64,
}
