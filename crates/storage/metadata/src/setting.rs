//! Settings: small named JSON values of a project.

use crate::error::{Result, StoreError};
use crate::row::{json, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use serde_json::{Value as Json, json};

impl Store {
    /// The setting called `name`, if set.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn setting_get(&self, ctx: &OpContext, name: &str) -> Result<Option<Json>> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT content FROM settings WHERE project_id = $1 AND name = $2";
        let row = connections.row(sql, values![ctx.project, name]).await?;
        row.map(|row| row.json("content")).transpose()
    }

    /// Sets the setting called `name`.
    ///
    /// # Errors
    /// Without the `write` scope, or when the name does not fit.
    pub async fn setting_put(&self, ctx: &OpContext, name: &str, content: &Json) -> Result<()> {
        crate::name::check("setting", name)?;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let now = change.now;
        change
            .tx
            .execute(
                "INSERT INTO settings (project_id, name, content, updated_at)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (project_id, name)
                 DO UPDATE SET content = excluded.content, updated_at = excluded.updated_at",
                values![ctx.project, name, json(content)?, now],
            )
            .await?;
        let detail = json!({ "content": content });
        change.commit(Audit { action: "setting.put", kind: "setting", id: &name, detail }).await
    }

    /// Unsets the setting called `name`.
    ///
    /// # Errors
    /// Without the `write` scope, or when it is not set.
    pub async fn setting_remove(&self, ctx: &OpContext, name: &str) -> Result<()> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let sql = "DELETE FROM settings WHERE project_id = $1 AND name = $2";
        let removed = change.tx.execute(sql, values![ctx.project, name]).await?;
        if removed == 0 {
            return Err(StoreError::not_found("setting", name));
        }
        let detail = json!({});
        change.commit(Audit { action: "setting.remove", kind: "setting", id: &name, detail }).await
    }
}
