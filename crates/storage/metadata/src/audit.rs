//! Who changed what: one chain of entries per project, each naming the hash of the one before.
//!
//! An entry that is altered, removed or slipped in breaks every hash after it.

use crate::connection::Tx;
use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, Value, json, values};
use crate::store::{Audit, Mutation, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{AuditId, Digest, Micros, ProjectId};
use serde::Serialize;
use serde_json::Value as Json;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Names the entry.
    pub id: AuditId,
    /// Its place in the project's chain, from 1.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// Who: the principal's name.
    pub actor: String,
    /// Noun and verb: `release.create`.
    pub action: String,
    /// The kind of thing changed.
    pub object_kind: String,
    /// Its id.
    pub object_id: String,
    /// What changed, without secrets.
    pub detail: Json,
    /// The request that asked for it.
    pub request_id: String,
    /// The hash of the entry before; 64 zeros for the first.
    pub prev_hash: String,
    /// The hash of this entry.
    pub hash: String,
}

/// Which entries to list. Empty fields ask for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only changes of this kind of thing.
    pub object_kind: Option<String>,
    /// Only changes of the thing with this id.
    pub object_id: Option<String>,
    /// Only changes by this principal.
    pub actor: Option<String>,
}

/// The outcome of checking a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditVerification {
    /// How many entries were checked and found sound.
    pub entries: i64,
    /// The place of the first entry that does not fit, and why.
    pub broken: Option<(i64, String)>,
}

/// The last link of a project's chain.
pub(crate) struct Head {
    seq: i64,
    hash: String,
}

const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Head {
    /// Before the first entry.
    pub(crate) fn genesis() -> Self {
        Self { seq: 0, hash: GENESIS.into() }
    }
}

/// Takes the project's turn: until the transaction ends, no other change of it begins.
pub(crate) async fn lock_head(tx: &mut Tx, project: ProjectId) -> Result<Head> {
    let rows = tx
        .rows_locked(
            "SELECT seq, hash FROM audit_heads WHERE project_id = $1",
            "SELECT seq, hash FROM audit_heads WHERE project_id = $1 FOR UPDATE",
            values![project],
        )
        .await?;
    let row = rows.first().ok_or_else(|| StoreError::not_found("project", project))?;
    Ok(Head { seq: row.int("seq")?, hash: row.text("hash")? })
}

/// Writes the entry of `mutation` and moves the head.
pub(crate) async fn append(mutation: &mut Mutation, entry: Audit<'_>) -> Result<()> {
    let Audit { action, kind, id, detail } = entry;
    let link = Link {
        project: mutation.project.to_string(),
        seq: mutation.head.seq + 1,
        id: AuditId::generate().to_string(),
        at: mutation.now.0,
        actor: mutation.actor.clone(),
        action: action.into(),
        object_kind: kind.into(),
        object_id: id.to_string(),
        detail: json(&detail)?,
        request: mutation.request.to_string(),
        prev_hash: mutation.head.hash.clone(),
    };
    let hash = link.hash()?;
    let head = values![mutation.project, link.seq, &hash];
    let Link {
        project,
        seq,
        id,
        at,
        actor,
        action,
        object_kind,
        object_id,
        detail,
        request,
        prev_hash,
    } = link;
    mutation
        .tx
        .execute(
            "INSERT INTO audit_entries (project_id, seq, id, created_at, actor, action,
               object_kind, object_id, detail, request_id, prev_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            values![
                project,
                seq,
                id,
                at,
                actor,
                action,
                object_kind,
                object_id,
                detail,
                request,
                prev_hash,
                hash
            ],
        )
        .await?;
    let sql = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE project_id = $1";
    mutation.tx.execute(sql, head).await?;
    Ok(())
}

/// What an entry's hash covers, in this order.
#[derive(Serialize)]
struct Link {
    prev_hash: String,
    project: String,
    seq: i64,
    id: String,
    at: i64,
    actor: String,
    action: String,
    object_kind: String,
    object_id: String,
    detail: String,
    request: String,
}

impl Link {
    fn hash(&self) -> Result<String> {
        Ok(Digest::of(json(self)?.as_bytes()).hex())
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            prev_hash: row.text("prev_hash")?,
            project: row.text("project_id")?,
            seq: row.int("seq")?,
            id: row.text("id")?,
            at: row.int("created_at")?,
            actor: row.text("actor")?,
            action: row.text("action")?,
            object_kind: row.text("object_kind")?,
            object_id: row.text("object_id")?,
            detail: row.text("detail")?,
            request: row.text("request_id")?,
        })
    }
}

fn entry(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.parse("id")?,
        seq: row.int("seq")?,
        at: row.at("created_at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        object_kind: row.text("object_kind")?,
        object_id: row.text("object_id")?,
        detail: row.json("detail")?,
        request_id: row.text("request_id")?,
        prev_hash: row.text("prev_hash")?,
        hash: row.text("hash")?,
    })
}

const VERIFY_BATCH: i64 = 1_000;

impl Store {
    /// The project's changes, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn audit_list(
        &self,
        ctx: &OpContext,
        filter: &AuditFilter,
        page: &Page,
    ) -> Result<Listing<AuditEntry>> {
        let connections = self.read(ctx, Scope::Read)?;
        let AuditFilter { object_kind, object_id, actor } = filter.clone();
        let after = After::of(page)?;
        // Here the cursor holds the place in the chain, which is the order of the entries.
        let rows = connections
            .rows(
                "SELECT * FROM audit_entries WHERE project_id = $1 AND seq < $2
                   AND ($3 IS NULL OR object_kind = $3) AND ($4 IS NULL OR object_id = $4)
                   AND ($5 IS NULL OR actor = $5)
                 ORDER BY seq DESC LIMIT $6",
                values![ctx.project, after.at, object_kind, object_id, actor, after.fetch],
            )
            .await?;
        let items = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |entry| (Micros(entry.seq), entry.id.to_string())))
    }

    /// Recomputes the project's chain from its first entry.
    ///
    /// # Errors
    /// Without the `read` scope, or when the database fails; a broken chain is an answer.
    pub async fn audit_verify(&self, ctx: &OpContext) -> Result<AuditVerification> {
        let connections = self.read(ctx, Scope::Read)?;
        let mut head = Head::genesis();
        loop {
            let rows = connections
                .rows(
                    "SELECT * FROM audit_entries WHERE project_id = $1 AND seq > $2
                     ORDER BY seq LIMIT $3",
                    values![ctx.project, head.seq, VERIFY_BATCH],
                )
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                if let Some(reason) = flaw(&head, row)? {
                    let broken = Some((head.seq + 1, reason.to_owned()));
                    return Ok(AuditVerification { entries: head.seq, broken });
                }
                head = Head { seq: row.int("seq")?, hash: row.text("hash")? };
            }
        }
        let sql = "SELECT seq, hash FROM audit_heads WHERE project_id = $1";
        let stored = connections.row(sql, vec![Value::from(ctx.project)]).await?;
        let stored = stored.ok_or_else(|| StoreError::not_found("project", ctx.project))?;
        let cut = stored.int("seq")? > head.seq;
        let broken = cut.then(|| (head.seq + 1, "the newest entries are missing".to_owned()));
        Ok(AuditVerification { entries: head.seq, broken })
    }
}

/// Why `row` cannot follow `head`.
fn flaw(head: &Head, row: &Row) -> Result<Option<&'static str>> {
    let link = Link::from_row(row)?;
    Ok(if link.seq != head.seq + 1 {
        Some("an entry is missing")
    } else if link.prev_hash != head.hash {
        Some("the entry does not follow the one before")
    } else if link.hash()? != row.text("hash")? {
        Some("the entry was altered")
    } else {
        None
    })
}
