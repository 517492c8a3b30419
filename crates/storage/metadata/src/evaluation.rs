//! Evaluations: one target measured on one suite. Immutable.

use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{Digest, EvaluationId, JobId, Micros};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Names it.
    pub id: EvaluationId,
    /// Names it for people; need not be unique.
    pub name: String,
    /// What was measured.
    pub target: Json,
    /// On what.
    pub suite: Json,
    /// The results: counts, scores and their intervals.
    pub summary: Json,
    /// The stored results per sample, JSON lines.
    pub samples: Digest,
    /// The job that made it.
    pub job_id: Option<JobId>,
    /// When it was made.
    pub created_at: Micros,
}

/// A measurement to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvaluation {
    /// Names it for people.
    pub name: String,
    /// What was measured.
    pub target: Json,
    /// On what.
    pub suite: Json,
    /// The results.
    pub summary: Json,
    /// The stored results per sample.
    pub samples: Digest,
    /// The job that made it. A job makes one evaluation, however often it is tried.
    pub job_id: Option<JobId>,
}

fn evaluation(row: &Row) -> Result<Evaluation> {
    Ok(Evaluation {
        id: row.parse("id")?,
        name: row.text("name")?,
        target: row.json("target")?,
        suite: row.json("suite")?,
        summary: row.json("summary")?,
        samples: row.parse("samples")?,
        job_id: row.parse_or_null("job_id")?,
        created_at: row.at("created_at")?,
    })
}

impl Store {
    /// Stores a measurement.
    ///
    /// One already stored by the same job is answered again instead of doubled.
    ///
    /// # Errors
    /// Without the `write` scope.
    pub async fn evaluation_create(
        &self,
        ctx: &OpContext,
        new: NewEvaluation,
    ) -> Result<Evaluation> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        if let Some(job) = new.job_id {
            let sql = "SELECT * FROM evaluations WHERE project_id = $1 AND job_id = $2";
            if let Some(row) = change.tx.row(sql, values![ctx.project, job]).await? {
                return evaluation(&row);
            }
        }
        let NewEvaluation { name, target, suite, summary, samples, job_id } = new;
        let id = EvaluationId::generate();
        let now = change.now;
        let row = change
            .tx
            .row(
                "INSERT INTO evaluations
                   (id, project_id, name, target, suite, summary, samples, job_id, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *",
                values![
                    id,
                    ctx.project,
                    &name,
                    json(&target)?,
                    json(&suite)?,
                    json(&summary)?,
                    samples,
                    job_id,
                    now
                ],
            )
            .await?;
        let made = evaluation(&row.ok_or_else(|| StoreError::not_found("evaluation", id))?)?;
        let owner = id.to_string();
        crate::artifact_ref::insert(&mut change.tx, ctx.project, "evaluation", &owner, [samples])
            .await?;
        let detail = json!({ "name": name, "target": target, "suite": suite });
        let kind = "evaluation";
        change.commit(Audit { action: "evaluation.create", kind, id: &id, detail }).await?;
        Ok(made)
    }

    /// One evaluation.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn evaluation_get(&self, ctx: &OpContext, id: EvaluationId) -> Result<Evaluation> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM evaluations WHERE project_id = $1 AND id = $2";
        let row = connections.row(sql, values![ctx.project, id]).await?;
        evaluation(&row.ok_or_else(|| StoreError::not_found("evaluation", id))?)
    }

    /// The project's evaluations, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn evaluation_list(
        &self,
        ctx: &OpContext,
        page: &Page,
    ) -> Result<Listing<Evaluation>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM evaluations WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4",
                values![ctx.project, after.at, &after.id, after.fetch],
            )
            .await?;
        let items = rows.iter().map(evaluation).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }
}
