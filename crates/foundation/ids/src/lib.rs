//! Typed identifiers, digests and instants. Cannot reach anything: no I/O, no database, no network.
//!
//! An identifier is a UUIDv7 with a prefix that says its kind (`rel_0192…`), so that it sorts by
//! creation time and cannot be passed where another kind is meant.

mod digest;
mod instant;
mod typed;

pub use digest::{Digest, DigestError, Hasher};
pub use instant::{InstantError, Micros};
pub use typed::{
    ApiKeyId, ArtifactId, AuditId, DatasetId, DatasetVersionId, EndpointId, EvaluationId,
    FeedbackId, GateId, IdError, InferenceId, JobId, ModelId, ProjectId, ReleaseId, RequestId,
    RolloutId, SpanId, TraceId,
};
