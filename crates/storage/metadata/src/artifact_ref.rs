//! Which stored bytes are needed, and by what. Garbage collection keeps what is named here.

use crate::connection::Tx;
use crate::error::Result;
use crate::row::values;
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{Digest, ProjectId};
use serde_json::json;
use std::collections::BTreeSet;

/// The thing that needs some bytes: a kind and an id, such as `model` and `mdl_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactOwner {
    /// The noun.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// Adds references within a change.
pub(crate) async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    kind: &str,
    id: &str,
    digests: impl IntoIterator<Item = Digest>,
) -> Result<()> {
    let distinct: BTreeSet<Digest> = digests.into_iter().collect();
    for digest in distinct {
        tx.execute(
            "INSERT INTO artifact_refs (project_id, owner_kind, owner_id, digest)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            values![project, kind, id, digest],
        )
        .await?;
    }
    Ok(())
}

impl Store {
    /// Says that `owner` needs these blobs. Models, dataset versions and evaluations say so
    /// themselves when they are made.
    ///
    /// # Errors
    /// Without the `write` scope.
    pub async fn artifact_ref_add(
        &self,
        ctx: &OpContext,
        owner: &ArtifactOwner,
        digests: &[Digest],
    ) -> Result<()> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let ArtifactOwner { kind, id } = owner;
        insert(&mut change.tx, ctx.project, kind, id, digests.iter().copied()).await?;
        let detail = json!({ "digests": digests });
        let action = "artifact.refer";
        change.commit(Audit { action, kind: "artifact", id: &format!("{kind}/{id}"), detail }).await
    }

    /// Says that `owner` needs nothing any more. Answers how many references went.
    ///
    /// # Errors
    /// Without the `write` scope.
    pub async fn artifact_ref_remove(&self, ctx: &OpContext, owner: &ArtifactOwner) -> Result<u64> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let ArtifactOwner { kind, id } = owner;
        let removed = change
            .tx
            .execute(
                "DELETE FROM artifact_refs
                 WHERE project_id = $1 AND owner_kind = $2 AND owner_id = $3",
                values![ctx.project, kind, id],
            )
            .await?;
        let detail = json!({ "references": removed });
        let action = "artifact.release";
        change
            .commit(Audit { action, kind: "artifact", id: &format!("{kind}/{id}"), detail })
            .await?;
        Ok(removed)
    }

    /// Whether the project refers to the blob: what a caller may read by digest.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn artifact_ref_exists(&self, ctx: &OpContext, digest: Digest) -> Result<bool> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT digest FROM artifact_refs WHERE project_id = $1 AND digest = $2 LIMIT 1";
        Ok(connections.row(sql, values![ctx.project, digest]).await?.is_some())
    }

    /// Every digest that any project refers to, for garbage collection.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn artifact_ref_list_all(&self, ctx: &OpContext) -> Result<BTreeSet<Digest>> {
        let connections = self.read_as_system(ctx)?;
        let sql = "SELECT DISTINCT digest FROM artifact_refs";
        connections.rows(sql, vec![]).await?.iter().map(|row| row.parse("digest")).collect()
    }
}
