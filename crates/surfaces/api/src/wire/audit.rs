//! The audit log.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One change, and who made it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// `aud_…`
    pub id: String,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The kind of thing that it was done to.
    pub object_kind: String,
    /// Its id.
    pub object_id: String,
    /// More about it.
    pub detail: Value,
    /// The request that did it.
    pub request_id: String,
}
