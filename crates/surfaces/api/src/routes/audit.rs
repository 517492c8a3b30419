//! The audit log.

use super::{Answer, Shared, listing, page_of};
use crate::authenticate::Caller;
use crate::extract::Query;
use crate::wire::audit::AuditEntry;
use crate::wire::page::{Page, PageQuery};
use axum::extract::State;
use pelton_metadata::AuditFilter;

fn wire(entry: pelton_metadata::AuditEntry) -> AuditEntry {
    let pelton_metadata::AuditEntry {
        id,
        seq: _,
        at,
        actor,
        action,
        object_kind,
        object_id,
        detail,
        request_id,
        prev_hash: _,
        hash: _,
    } = entry;
    let (id, at) = (id.to_string(), at.to_string());
    AuditEntry { id, at, actor, action, object_kind, object_id, detail, request_id }
}

/// List changes, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageQuery), responses((status = 200, body = Page<AuditEntry>)))]
pub async fn list_audit_entries(
    State(api): Shared,
    Caller(caller): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Page<AuditEntry>> {
    let found = api.store.audit_list(&caller, &AuditFilter::default(), &page_of(&query)).await?;
    Ok(listing(found, wire))
}
