//! Jobs as their owners see them: asked for, watched, cancelled.

use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{JobId, Micros};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt;
use std::str::FromStr;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker, or for its next attempt.
    Queued,
    /// A worker is at it.
    Running,
    /// Done: its result is usable.
    Succeeded,
    /// Given up: its error says why.
    Failed,
    /// Stopped because somebody asked.
    Cancelled,
}

impl JobState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

impl FromStr for JobState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => return Err("not a job state"),
        })
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobProgress {
    /// Units done.
    pub done: i64,
    /// Units in all, where known.
    pub total: Option<i64>,
    /// What is counted: `steps`, `rows`, `samples`.
    pub unit: String,
    /// What it does now.
    pub message: String,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// For programs: `bad_input`, `crashed`, `disk_full`.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do next.
    #[serde(default)]
    pub hint: String,
    /// Whether another attempt may go better.
    #[serde(default)]
    pub retryable: bool,
}

/// A unit of durable work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Names the job.
    pub id: JobId,
    /// What kind of work: `finetune`, `finetune_search`, `dataset_build`, `evaluation`.
    pub kind: String,
    /// For people.
    pub title: String,
    /// Where it stands.
    pub state: JobState,
    /// How far it has come.
    pub progress: Option<JobProgress>,
    /// What was asked for.
    pub spec: Json,
    /// What came out.
    pub result: Option<Json>,
    /// Why it failed; also the last failure of a job that will be tried again.
    pub error: Option<JobError>,
    /// How often it was begun.
    pub attempt: i64,
    /// Somebody asked to stop it.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub created_at: Micros,
    /// When it was first begun.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

/// A job to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// What kind of work.
    pub kind: String,
    /// For people.
    pub title: String,
    /// What is asked for.
    pub spec: Json,
    /// Higher goes first.
    pub priority: i64,
    /// Failures in a row, without progress between them, before it is given up.
    pub max_attempts: i64,
    /// While a job with this key waits or runs, asking again answers that job.
    pub dedupe_key: Option<String>,
}

impl NewJob {
    /// A job of ordinary priority and five attempts.
    #[must_use]
    pub fn of(kind: impl Into<String>, title: impl Into<String>, spec: Json) -> Self {
        Self {
            kind: kind.into(),
            title: title.into(),
            spec,
            priority: 0,
            max_attempts: 5,
            dedupe_key: None,
        }
    }
}

/// Which jobs to list. Empty fields ask for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only in this state.
    pub state: Option<JobState>,
}

/// Something that happened to a job: `queued`, `started`, `retried`, `cancel_requested`, `ended`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobEvent {
    /// Its place, from 1.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// What happened.
    pub kind: String,
    /// More about it.
    pub detail: Json,
}

pub(crate) fn job(row: &Row) -> Result<Job> {
    Ok(Job {
        id: row.parse("id")?,
        kind: row.text("kind")?,
        title: row.text("title")?,
        state: row.parse("state")?,
        progress: row.json_or_null("progress")?,
        spec: row.json("spec")?,
        result: row.json_or_null("result")?,
        error: row.json_or_null("error")?,
        attempt: row.int("attempt")?,
        cancel_requested: row.flag("cancel_requested")?,
        created_at: row.at("created_at")?,
        started_at: row.at_or_null("started_at")?,
        ended_at: row.at_or_null("ended_at")?,
    })
}

/// Adds to a job's history.
pub(crate) async fn tell(
    tx: &mut crate::connection::Tx,
    id: JobId,
    at: Micros,
    kind: &str,
    detail: &Json,
) -> Result<()> {
    tx.execute(
        "INSERT INTO job_events (job_id, seq, created_at, kind, detail)
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4 FROM job_events WHERE job_id = $1",
        values![id, at, kind, json(detail)?],
    )
    .await?;
    Ok(())
}

impl Store {
    /// Queues a job, or answers the one that waits or runs under the same dedupe key.
    ///
    /// # Errors
    /// Without the `write` scope.
    pub async fn job_create(&self, ctx: &OpContext, new: NewJob) -> Result<Job> {
        crate::name::check("kind of job", &new.kind)?;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let NewJob { kind, title, spec, priority, max_attempts, dedupe_key } = new;
        if let Some(key) = &dedupe_key {
            let sql = "SELECT * FROM jobs WHERE project_id = $1 AND dedupe_key = $2
                       AND state IN ('queued', 'running')";
            if let Some(row) = change.tx.row(sql, values![ctx.project, key]).await? {
                return job(&row);
            }
        }
        let id = JobId::generate();
        let now = change.now;
        let run_at = self.lease_now(&mut change.tx).await?;
        let row = change
            .tx
            .row(
                "INSERT INTO jobs (id, project_id, kind, title, state, spec, priority, run_at,
                   attempt, max_attempts, failures, failed_at, dedupe_key, cancel_requested,
                   lease_epoch, lease_until, created_at)
                 VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, 0, $8, 0, 0, $9, 0, 0, 0, $10)
                 RETURNING *",
                values![
                    id,
                    ctx.project,
                    &kind,
                    &title,
                    json(&spec)?,
                    priority,
                    run_at,
                    max_attempts.max(1),
                    dedupe_key,
                    now
                ],
            )
            .await?;
        let made = job(&row.ok_or_else(|| StoreError::not_found("job", id))?)?;
        tell(&mut change.tx, id, now, "queued", &json!({})).await?;
        change.changes_jobs();
        let detail = json!({ "kind": kind, "title": title, "spec": spec });
        change.commit(Audit { action: "job.create", kind: "job", id: &id, detail }).await?;
        Ok(made)
    }

    /// One job.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn job_get(&self, ctx: &OpContext, id: JobId) -> Result<Job> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM jobs WHERE project_id = $1 AND id = $2";
        let row = connections.row(sql, values![ctx.project, id]).await?;
        job(&row.ok_or_else(|| StoreError::not_found("job", id))?)
    }

    /// The project's jobs, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn job_list(
        &self,
        ctx: &OpContext,
        filter: &JobFilter,
        page: &Page,
    ) -> Result<Listing<Job>> {
        let connections = self.read(ctx, Scope::Read)?;
        let JobFilter { kind, state } = filter.clone();
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM jobs WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                   AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR state = $5)
                 ORDER BY created_at DESC, id DESC LIMIT $6",
                values![
                    ctx.project,
                    after.at,
                    &after.id,
                    kind,
                    state.map(|state| state.to_string()),
                    after.fetch
                ],
            )
            .await?;
        let items = rows.iter().map(job).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }

    /// How many of the project's jobs are in each state.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn job_count_by_state(&self, ctx: &OpContext) -> Result<Vec<(JobState, i64)>> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT state, COUNT(*) AS jobs FROM jobs WHERE project_id = $1
                   GROUP BY state ORDER BY state";
        let rows = connections.rows(sql, values![ctx.project]).await?;
        rows.iter().map(|row| Ok((row.parse("state")?, row.int("jobs")?))).collect()
    }

    /// Stops a job: at once when it waits, by its worker when it runs. An ended job stays as it is.
    ///
    /// # Errors
    /// Without the `write` scope, or when there is none.
    pub async fn job_cancel(&self, ctx: &OpContext, id: JobId) -> Result<Job> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let now = change.now;
        let row = change
            .tx
            .row(
                "UPDATE jobs SET cancel_requested = 1,
                   ended_at = CASE WHEN state = 'queued' THEN $3 ELSE ended_at END,
                   state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END
                 WHERE project_id = $1 AND id = $2 AND state IN ('queued', 'running') RETURNING *",
                values![ctx.project, id, now],
            )
            .await?;
        let Some(row) = row else {
            drop(change);
            return self.job_get(ctx, id).await;
        };
        let stopped = job(&row)?;
        let event = if stopped.state.is_final() { "ended" } else { "cancel_requested" };
        let told = json!({ "state": stopped.state, "by": change.actor });
        tell(&mut change.tx, id, now, event, &told).await?;
        change.changes_jobs();
        let detail = json!({ "state": stopped.state });
        change.commit(Audit { action: "job.cancel", kind: "job", id: &id, detail }).await?;
        Ok(stopped)
    }

    /// What happened to a job, oldest first.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is no such job.
    pub async fn job_events(&self, ctx: &OpContext, id: JobId) -> Result<Vec<JobEvent>> {
        self.job_get(ctx, id).await?;
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM job_events WHERE job_id = $1 ORDER BY seq";
        let rows = connections.rows(sql, values![id]).await?;
        let event = |row: &Row| {
            Ok(JobEvent {
                seq: row.int("seq")?,
                at: row.at("created_at")?,
                kind: row.text("kind")?,
                detail: row.json("detail")?,
            })
        };
        rows.iter().map(event).collect()
    }
}
