//! Projects: the tenants. Nothing crosses from one to another.

use crate::audit::Head;
use crate::error::{Result, StoreError};
use crate::row::{Row, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{Micros, ProjectId};
use serde::Serialize;
use serde_json::json;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Names it for good.
    pub id: ProjectId,
    /// Names it for people.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
}

fn project(row: &Row) -> Result<Project> {
    Ok(Project { id: row.parse("id")?, name: row.text("name")?, created_at: row.at("created_at")? })
}

impl Store {
    /// The project called `name`, made by Pelton itself when absent.
    ///
    /// # Errors
    /// When the name is empty or too long, or the database fails.
    pub async fn project_ensure(&self, name: &str) -> Result<Project> {
        let found = self.project_by_name(name).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        match self.project_insert(&OpContext::system(ProjectId::generate()), name).await {
            Err(StoreError::Conflict { .. }) => {
                let found = self.project_by_name(name).await?;
                found.ok_or_else(|| StoreError::not_found("project", name))
            }
            other => other,
        }
    }

    /// Makes a project. Its first audit entry says by whom.
    ///
    /// # Errors
    /// Without the `admin` scope, or when the name is taken.
    pub async fn project_create(&self, ctx: &OpContext, name: &str) -> Result<Project> {
        ctx.require(Scope::Admin)?;
        let within = OpContext { project: ProjectId::generate(), ..ctx.clone() };
        self.project_insert(&within, name).await
    }

    /// The caller's project.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn project_get(&self, ctx: &OpContext) -> Result<Project> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM projects WHERE id = $1";
        let row = connections.row(sql, values![ctx.project]).await?;
        project(&row.ok_or_else(|| StoreError::not_found("project", ctx.project))?)
    }

    /// Every project, for Pelton itself.
    ///
    /// # Errors
    /// When the caller is anyone else.
    pub async fn project_list_all(&self, ctx: &OpContext) -> Result<Vec<Project>> {
        let connections = self.read_as_system(ctx)?;
        let sql = "SELECT * FROM projects ORDER BY created_at, id";
        connections.rows(sql, vec![]).await?.iter().map(project).collect()
    }

    async fn project_by_name(&self, name: &str) -> Result<Option<Project>> {
        let sql = "SELECT * FROM projects WHERE name = $1";
        let row = self.before_authentication().row(sql, values![name]).await?;
        row.as_ref().map(project).transpose()
    }

    /// Makes `ctx.project` with an empty audit chain.
    async fn project_insert(&self, ctx: &OpContext, name: &str) -> Result<Project> {
        crate::name::check("project", name)?;
        let tx = self.before_authentication().begin().await?;
        let mut change = self.mutation(tx, ctx, Head::genesis());
        let made = Project { id: ctx.project, name: name.into(), created_at: change.now };
        change
            .tx
            .execute(
                "INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3)",
                values![made.id, name, made.created_at],
            )
            .await
            .map_err(|error| error.taken("project", name, "the name is taken"))?;
        change
            .tx
            .execute(
                "INSERT INTO audit_heads (project_id, seq, hash) VALUES ($1, 0, '')",
                values![made.id],
            )
            .await?;
        let detail = json!({ "name": name });
        change
            .commit(Audit { action: "project.create", kind: "project", id: &made.id, detail })
            .await?;
        Ok(made)
    }
}
