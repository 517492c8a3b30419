//! Gates: decisions over evaluations that a rollout must pass. Immutable.

use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, json_or_null, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{GateId, Micros};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// One rule of a gate, as decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRule {
    /// Which rule.
    pub name: String,
    /// Whether it was met.
    pub passed: bool,
    /// The numbers behind it, in words.
    pub detail: String,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// Names the gate.
    pub id: GateId,
    /// Whether every rule was met.
    pub passed: bool,
    /// The rules, in the order in which they were judged.
    pub rules: Vec<GateRule>,
    /// What was compared on the task.
    pub task: Json,
    /// What was compared on the regression set.
    pub regression: Option<Json>,
    /// When it was decided.
    pub created_at: Micros,
}

/// A decision to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewGate {
    /// Whether every rule was met.
    pub passed: bool,
    /// The rules.
    pub rules: Vec<GateRule>,
    /// What was compared on the task.
    pub task: Json,
    /// What was compared on the regression set.
    pub regression: Option<Json>,
}

fn gate(row: &Row) -> Result<Gate> {
    Ok(Gate {
        id: row.parse("id")?,
        passed: row.flag("passed")?,
        rules: row.json("rules")?,
        task: row.json("task")?,
        regression: row.json_or_null("regression")?,
        created_at: row.at("created_at")?,
    })
}

impl Store {
    /// Stores a decision.
    ///
    /// # Errors
    /// Without the `write` scope.
    pub async fn gate_create(&self, ctx: &OpContext, new: NewGate) -> Result<Gate> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let NewGate { passed, rules, task, regression } = new;
        let created_at = change.now;
        let made = Gate { id: GateId::generate(), passed, rules, task, regression, created_at };
        change
            .tx
            .execute(
                "INSERT INTO gates (id, project_id, passed, rules, task, regression, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                values![
                    made.id,
                    ctx.project,
                    made.passed,
                    json(&made.rules)?,
                    json(&made.task)?,
                    json_or_null(made.regression.as_ref())?,
                    made.created_at
                ],
            )
            .await?;
        let detail = json!({ "passed": made.passed });
        change.commit(Audit { action: "gate.create", kind: "gate", id: &made.id, detail }).await?;
        Ok(made)
    }

    /// One gate.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn gate_get(&self, ctx: &OpContext, id: GateId) -> Result<Gate> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM gates WHERE project_id = $1 AND id = $2";
        let row = connections.row(sql, values![ctx.project, id]).await?;
        gate(&row.ok_or_else(|| StoreError::not_found("gate", id))?)
    }

    /// The project's gates, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn gate_list(&self, ctx: &OpContext, page: &Page) -> Result<Listing<Gate>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM gates WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4",
                values![ctx.project, after.at, &after.id, after.fetch],
            )
            .await?;
        let items = rows.iter().map(gate).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }
}
