//! Jobs as workers see them: claimed under a lease, fenced by its epoch.
//!
//! Every write of a worker names the epoch that it claimed the job under. When another worker has
//! claimed the job since, nothing is written and the caller learns that it lost the job.
//! A job is done at least once; its effects in this store happen once, since a job makes at most
//! one dataset version, model and evaluation.

use crate::connection::Tx;
use crate::error::{Result, StoreError};
use crate::job::{Job, JobError, JobProgress, JobState, job, tell};
use crate::row::{Row, json, values};
use crate::store::Store;
use pelton_context::OpContext;
use pelton_ids::{JobId, Micros, ProjectId};
use serde_json::{Value as Json, json};

/// What a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The worker.
    pub owner: String,
    /// The kinds that it can do; empty for all.
    pub kinds: Vec<String>,
    /// The most jobs wanted.
    pub limit: u32,
    /// How long it holds them without a heartbeat, in microseconds.
    pub ttl: i64,
}

/// The right to work on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLease {
    /// The job.
    pub job: JobId,
    /// Its project.
    pub project: ProjectId,
    /// Who holds it.
    pub owner: String,
    /// Grows with every claim.
    pub epoch: i64,
}

/// A job and the right to work on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The job.
    pub job: Job,
    /// The right.
    pub lease: JobLease,
}

/// What a worker learns about a job that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Go on.
    Held,
    /// Stop, and say so with [`JobOutcome::Cancelled`].
    Cancel,
    /// Stop: somebody else has it. Write nothing.
    Lost,
}

/// Something that a running job says.
#[derive(Debug, Clone, PartialEq)]
pub enum JobRecord {
    /// How far it has come.
    Progress(JobProgress),
    /// The measurements of a step. The first ones written for a step stay.
    Metric {
        /// The step.
        step: i64,
        /// Names and numbers.
        values: Json,
    },
    /// A log line.
    Log {
        /// `error`, `warn`, `info` or `debug`.
        level: String,
        /// What.
        message: String,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobOutcome {
    /// The result is usable.
    Succeeded(Json),
    /// It failed, and says whether another attempt may go better. A crash is one that may.
    Failed(JobError),
    /// It stopped because somebody asked.
    Cancelled,
    /// The worker shuts down: somebody else may take it, and no failure is counted.
    Released,
}

/// How long a failed job waits: `base`, doubled with every failure in a row, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Microseconds before the second attempt.
    pub base: i64,
    /// The longest wait, in microseconds.
    pub max: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: 1_000_000, max: 60_000_000 }
    }
}

impl Backoff {
    fn wait(self, failures: i64) -> i64 {
        let doublings = u32::try_from(failures.clamp(1, 32) - 1).unwrap_or(0);
        self.base.saturating_mul(1 << doublings).clamp(0, self.max)
    }
}

/// The longest log line kept, in bytes.
const MAX_MESSAGE: usize = 16 << 10;

/// What a job says when its lease ran out.
fn lost() -> JobError {
    JobError {
        code: "worker_lost".into(),
        message: "the worker stopped answering".into(),
        hint: "see the job's log for what it did last".into(),
        retryable: true,
    }
}

impl Store {
    /// Takes jobs that are due, highest priority first. Jobs whose lease ran out count as failed
    /// once more and wait for their next attempt.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn job_claim(
        &self,
        ctx: &OpContext,
        claims: &Claims,
        backoff: Backoff,
    ) -> Result<Vec<ClaimedJob>> {
        let mut tx = self.bookkeep(ctx).await?;
        let now = self.lease_now(&mut tx).await?;
        for row in expired(&mut tx, now).await? {
            end(&mut tx, &row, JobOutcome::Failed(lost()), self.now(), now, backoff).await?;
        }
        let rows = due(&mut tx, claims, now).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let taken = ClaimedJob {
                job: job(row)?,
                lease: JobLease {
                    job: row.parse("id")?,
                    project: row.parse("project_id")?,
                    owner: claims.owner.clone(),
                    epoch: row.int("lease_epoch")?,
                },
            };
            let detail = json!({ "attempt": taken.job.attempt, "owner": claims.owner });
            tell(&mut tx, taken.lease.job, self.now(), "started", &detail).await?;
            claimed.push(taken);
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Extends the leases, and says of each job whether to go on.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn job_heartbeat(
        &self,
        ctx: &OpContext,
        leases: &[JobLease],
        ttl: i64,
    ) -> Result<Vec<(JobId, Heartbeat)>> {
        let mut tx = self.bookkeep(ctx).await?;
        let now = self.lease_now(&mut tx).await?;
        let mut answers = Vec::with_capacity(leases.len());
        for lease in leases {
            let row = tx
                .row(
                    "UPDATE jobs SET lease_until = $3
                     WHERE id = $1 AND lease_epoch = $2 AND state = 'running'
                     RETURNING cancel_requested",
                    values![lease.job, lease.epoch, now.plus(ttl)],
                )
                .await?;
            let answer = match row.map(|row| row.flag("cancel_requested")).transpose()? {
                None => Heartbeat::Lost,
                Some(true) => Heartbeat::Cancel,
                Some(false) => Heartbeat::Held,
            };
            answers.push((lease.job, answer));
        }
        tx.commit().await?;
        Ok(answers)
    }

    /// Writes what a job said, all of it or nothing.
    ///
    /// # Errors
    /// `Fenced` when the job is not the caller's any more.
    pub async fn job_record(
        &self,
        ctx: &OpContext,
        lease: &JobLease,
        records: &[JobRecord],
    ) -> Result<()> {
        let mut tx = self.bookkeep(ctx).await?;
        held(&mut tx, lease).await?;
        let now = self.now();
        for record in records {
            write(&mut tx, lease.job, now, record).await?;
        }
        tx.commit().await
    }

    /// Ends an attempt. A failure that may go better is tried again after a while, until
    /// `max_attempts` failures came in a row without progress between them.
    ///
    /// # Errors
    /// `Fenced` when the job is not the caller's any more.
    pub async fn job_finish(
        &self,
        ctx: &OpContext,
        lease: &JobLease,
        outcome: JobOutcome,
        backoff: Backoff,
    ) -> Result<Job> {
        let mut tx = self.bookkeep(ctx).await?;
        let row = held(&mut tx, lease).await?;
        let due = self.lease_now(&mut tx).await?;
        let ended = end(&mut tx, &row, outcome, self.now(), due, backoff).await?;
        tx.commit().await?;
        self.announce_jobs();
        Ok(ended)
    }

    /// Queues every running job again, at once and without counting a failure: for the start of
    /// the only process that works on this database, which holds the lock on the data folder.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn job_requeue_orphans(&self, ctx: &OpContext) -> Result<Vec<JobId>> {
        let mut tx = self.bookkeep(ctx).await?;
        let due = self.lease_now(&mut tx).await?;
        let rows =
            tx.rows("SELECT * FROM jobs WHERE state = 'running' ORDER BY id", vec![]).await?;
        let mut orphans = Vec::with_capacity(rows.len());
        for row in &rows {
            let outcome = JobOutcome::Released;
            orphans.push(end(&mut tx, row, outcome, self.now(), due, Backoff::default()).await?.id);
        }
        tx.commit().await?;
        self.announce_jobs();
        Ok(orphans)
    }
}

/// Running jobs whose lease ran out.
async fn expired(tx: &mut Tx, now: Micros) -> Result<Vec<Row>> {
    tx.rows_locked(
        "SELECT * FROM jobs WHERE state = 'running' AND lease_until < $1 ORDER BY id",
        "SELECT * FROM jobs WHERE state = 'running' AND lease_until < $1 ORDER BY id
         FOR UPDATE SKIP LOCKED",
        values![now],
    )
    .await
}

/// Takes the jobs that are due, with one statement but for PostgreSQL's row locks.
async fn due(tx: &mut Tx, claims: &Claims, now: Micros) -> Result<Vec<Row>> {
    macro_rules! claim {
        ($locking:literal) => {
            concat!(
                "UPDATE jobs SET state = 'running', lease_owner = $1, lease_until = $2,
                   lease_epoch = lease_epoch + 1, attempt = attempt + 1,
                   started_at = COALESCE(started_at, $3)
                 WHERE id IN (
                   SELECT id FROM jobs WHERE state = 'queued' AND run_at <= $3
                     AND ($4 = ',,' OR REPLACE($4, ',' || kind || ',', '') <> $4)
                   ORDER BY priority DESC, run_at, id LIMIT $5",
                $locking,
                ") RETURNING *"
            )
        };
    }
    // Kinds are names and hold no comma.
    let kinds = format!(",{},", claims.kinds.join(",,"));
    let mut rows = tx
        .rows_locked(
            claim!(""),
            claim!(" FOR UPDATE SKIP LOCKED"),
            values![&claims.owner, now.plus(claims.ttl), now, kinds, claims.limit],
        )
        .await?;
    let order = |row: &Row| Ok((-row.int("priority")?, row.int("run_at")?, row.text("id")?));
    let mut keyed =
        rows.drain(..).map(|row| order(&row).map(|key| (key, row))).collect::<Result<Vec<_>>>()?;
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

/// The job, if it is still held under `lease`.
async fn held(tx: &mut Tx, lease: &JobLease) -> Result<Row> {
    let rows = tx
        .rows_locked(
            "SELECT * FROM jobs WHERE id = $1 AND lease_epoch = $2 AND state = 'running'",
            "SELECT * FROM jobs WHERE id = $1 AND lease_epoch = $2 AND state = 'running'
             FOR UPDATE",
            values![lease.job, lease.epoch],
        )
        .await?;
    rows.into_iter().next().ok_or_else(|| StoreError::Fenced(lease.job.to_string()))
}

async fn write(tx: &mut Tx, id: JobId, now: Micros, record: &JobRecord) -> Result<()> {
    match record {
        JobRecord::Progress(progress) => {
            let sql = "UPDATE jobs SET progress = $2 WHERE id = $1";
            tx.execute(sql, values![id, json(progress)?]).await?;
        }
        JobRecord::Metric { step, values } => {
            tx.execute(
                "INSERT INTO job_metrics (job_id, step, seq, created_at, metric_values)
                 SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4
                 FROM job_metrics WHERE job_id = $1
                 ON CONFLICT (job_id, step) DO NOTHING",
                values![id, *step, now, json(values)?],
            )
            .await?;
        }
        JobRecord::Log { level, message } => {
            let end = message.floor_char_boundary(MAX_MESSAGE);
            tx.execute(
                "INSERT INTO job_logs (job_id, seq, created_at, level, message)
                 SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4
                 FROM job_logs WHERE job_id = $1",
                values![id, now, level, message.get(..end).unwrap_or_default()],
            )
            .await?;
        }
    }
    Ok(())
}

/// What becomes of a job after an attempt.
struct Verdict {
    state: JobState,
    run_at: Micros,
    failures: i64,
    failed_at: i64,
    result: Option<Json>,
    error: Option<JobError>,
}

/// Decides, without side effects. `failed_at` is how far the job had come at its last failure.
fn judge(row: &Row, outcome: JobOutcome, due: Micros, backoff: Backoff) -> Result<Verdict> {
    let before = job(row)?;
    let (failures, failed_at) = (row.int("failures")?, row.int("failed_at")?);
    let error = before.error;
    let verdict = |state| Verdict { state, run_at: due, failures, failed_at, result: None, error };
    Ok(match outcome {
        JobOutcome::Succeeded(result) => {
            Verdict { result: Some(result), error: None, ..verdict(JobState::Succeeded) }
        }
        JobOutcome::Cancelled => verdict(JobState::Cancelled),
        _ if before.cancel_requested => verdict(JobState::Cancelled),
        JobOutcome::Released => verdict(JobState::Queued),
        JobOutcome::Failed(error) => {
            let done = before.progress.map_or(0, |progress| progress.done);
            let failures = if done > failed_at { 1 } else { failures + 1 };
            let again = error.retryable && failures < row.int("max_attempts")?;
            let state = if again { JobState::Queued } else { JobState::Failed };
            let run_at = due.plus(backoff.wait(failures));
            Verdict { state, run_at, failures, failed_at: done, result: None, error: Some(error) }
        }
    })
}

async fn end(
    tx: &mut Tx,
    row: &Row,
    outcome: JobOutcome,
    now: Micros,
    due: Micros,
    backoff: Backoff,
) -> Result<Job> {
    let id: JobId = row.parse("id")?;
    let Verdict { state, run_at, failures, failed_at, result, error } =
        judge(row, outcome, due, backoff)?;
    let ended_at = state.is_final().then_some(now);
    // The epoch grows here too: what the worker writes from now on is refused.
    let after = tx
        .row(
            "UPDATE jobs SET state = $2, run_at = $3, failures = $4, failed_at = $5, result = $6,
               error = $7, ended_at = $8, lease_owner = NULL, lease_until = 0,
               lease_epoch = lease_epoch + 1
             WHERE id = $1 RETURNING *",
            values![
                id,
                state.to_string(),
                run_at,
                failures,
                failed_at,
                crate::row::json_or_null(result.as_ref())?,
                crate::row::json_or_null(error.as_ref())?,
                ended_at
            ],
        )
        .await?;
    let event = if state.is_final() { "ended" } else { "retried" };
    let detail = json!({ "state": state, "failures": failures, "error": error });
    tell(tx, id, now, event, &detail).await?;
    job(&after.ok_or_else(|| StoreError::not_found("job", id))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { base: 10, max: 50 };
        let waits: Vec<i64> = [1, 2, 3, 4, 64].map(|failures| backoff.wait(failures)).into();
        assert_eq!(waits, [10, 20, 40, 50, 50]);
    }
}
