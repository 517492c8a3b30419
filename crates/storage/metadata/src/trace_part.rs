//! The catalog of sealed trace parts. A segment's parts appear together or not at all, and only
//! once: this is the single commit point of sealing.

use crate::error::Result;
use crate::row::{Row, json, values};
use crate::store::Store;
use pelton_context::OpContext;
use pelton_ids::{Micros, ProjectId};
use serde::Serialize;
use serde_json::Value as Json;

/// A sealed part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracePart {
    /// Names the part.
    pub part_id: String,
    /// The hot segment that it was sealed from.
    pub segment: String,
    /// The only project in it, where it holds one.
    pub project: Option<ProjectId>,
    /// The file of narrow columns.
    pub path_narrow: String,
    /// The file of payloads.
    pub path_payload: Option<String>,
    /// Rows.
    pub rows: i64,
    /// Bytes of all files.
    pub bytes: i64,
    /// The earliest start in it.
    pub min_at: Micros,
    /// The latest start in it.
    pub max_at: Micros,
    /// What the trace store wants to know besides.
    pub detail: Json,
    /// When it was sealed.
    pub sealed_at: Micros,
}

/// A part to be committed; fields as in [`TracePart`].
#[derive(Debug, Clone, PartialEq)]
pub struct NewTracePart {
    /// Names the part.
    pub part_id: String,
    /// The only project in it, where it holds one.
    pub project: Option<ProjectId>,
    /// The file of narrow columns.
    pub path_narrow: String,
    /// The file of payloads.
    pub path_payload: Option<String>,
    /// Rows.
    pub rows: i64,
    /// Bytes of all files.
    pub bytes: i64,
    /// The earliest start in it.
    pub min_at: Micros,
    /// The latest start in it.
    pub max_at: Micros,
    /// What the trace store wants to know besides.
    pub detail: Json,
}

fn part(row: &Row) -> Result<TracePart> {
    Ok(TracePart {
        part_id: row.text("part_id")?,
        segment: row.text("segment")?,
        project: row.parse_or_null("project_id")?,
        path_narrow: row.text("path_narrow")?,
        path_payload: row.text_or_null("path_payload")?,
        rows: row.int("row_count")?,
        bytes: row.int("size_bytes")?,
        min_at: row.at("min_at")?,
        max_at: row.at("max_at")?,
        detail: row.json("detail")?,
        sealed_at: row.at("sealed_at")?,
    })
}

impl Store {
    /// Commits the parts of a segment. Committing the same segment again changes nothing, so a
    /// sealer that crashed after its commit may simply repeat it.
    ///
    /// # Errors
    /// When the caller is not Pelton itself, or a part of that name exists in another segment.
    pub async fn trace_parts_commit(
        &self,
        ctx: &OpContext,
        segment: &str,
        parts: &[NewTracePart],
    ) -> Result<()> {
        let mut tx = self.bookkeep(ctx).await?;
        let now = self.now();
        let sql = "INSERT INTO trace_segments (segment, sealed_at) VALUES ($1, $2)
                   ON CONFLICT (segment) DO NOTHING";
        if tx.execute(sql, values![segment, now]).await? == 0 {
            return Ok(());
        }
        for new in parts {
            let NewTracePart {
                part_id,
                project,
                path_narrow,
                path_payload,
                rows,
                bytes,
                min_at,
                max_at,
                detail,
            } = new;
            tx.execute(
                "INSERT INTO trace_parts (part_id, segment, project_id, path_narrow, path_payload,
                   row_count, size_bytes, min_at, max_at, detail, sealed_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                values![
                    part_id,
                    segment,
                    *project,
                    path_narrow,
                    path_payload.clone(),
                    *rows,
                    *bytes,
                    *min_at,
                    *max_at,
                    json(detail)?,
                    now
                ],
            )
            .await
            .map_err(|error| error.taken("trace part", part_id, "it is committed already"))?;
        }
        tx.commit().await
    }

    /// Every committed part, oldest first.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn trace_parts_list(&self, ctx: &OpContext) -> Result<Vec<TracePart>> {
        let connections = self.read_as_system(ctx)?;
        let sql = "SELECT * FROM trace_parts ORDER BY min_at, part_id";
        connections.rows(sql, vec![]).await?.iter().map(part).collect()
    }

    /// Every segment whose parts were committed.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn trace_segments_sealed(&self, ctx: &OpContext) -> Result<Vec<String>> {
        let connections = self.read_as_system(ctx)?;
        let sql = "SELECT segment FROM trace_segments ORDER BY segment";
        connections.rows(sql, vec![]).await?.iter().map(|row| row.text("segment")).collect()
    }

    /// Whether the segment's parts were committed, and the segment may be deleted.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn trace_segment_is_sealed(&self, ctx: &OpContext, segment: &str) -> Result<bool> {
        let connections = self.read_as_system(ctx)?;
        let sql = "SELECT segment FROM trace_segments WHERE segment = $1";
        Ok(connections.row(sql, values![segment]).await?.is_some())
    }

    /// Takes parts off the catalog, for retention and compaction; their files may go afterward.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn trace_parts_remove(&self, ctx: &OpContext, part_ids: &[String]) -> Result<u64> {
        if part_ids.is_empty() {
            return Ok(0);
        }
        let mut tx = self.bookkeep(ctx).await?;
        let mut removed = 0;
        for part_id in part_ids {
            let sql = "DELETE FROM trace_parts WHERE part_id = $1";
            removed += tx.execute(sql, values![part_id]).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }
}
