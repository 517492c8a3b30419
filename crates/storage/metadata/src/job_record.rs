//! What a job says while it runs: metrics by step and log lines, read by sequence number.

use crate::error::Result;
use crate::page::MAX_PAGE;
use crate::row::{Row, values};
use crate::store::Store;
use pelton_context::{OpContext, Scope};
use pelton_ids::{JobId, Micros};
use serde::Serialize;
use serde_json::Value as Json;

/// The measurements of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobMetric {
    /// Its place, from 1.
    pub seq: i64,
    /// When it was first written.
    pub at: Micros,
    /// The step.
    pub step: i64,
    /// Names and numbers, such as `loss`.
    pub values: Json,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobLog {
    /// Its place, from 1.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// What.
    pub message: String,
}

impl Store {
    /// At most `limit` metrics after `seq`, in order.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is no such job.
    pub async fn job_metrics(
        &self,
        ctx: &OpContext,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<JobMetric>> {
        self.job_get(ctx, id).await?;
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM job_metrics WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let rows = connections.rows(sql, values![id, after, limit.clamp(1, MAX_PAGE * 10)]).await?;
        let metric = |row: &Row| {
            Ok(JobMetric {
                seq: row.int("seq")?,
                at: row.at("created_at")?,
                step: row.int("step")?,
                values: row.json("metric_values")?,
            })
        };
        rows.iter().map(metric).collect()
    }

    /// At most `limit` log lines after `seq`, in order.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is no such job.
    pub async fn job_logs(
        &self,
        ctx: &OpContext,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<JobLog>> {
        self.job_get(ctx, id).await?;
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM job_logs WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let rows = connections.rows(sql, values![id, after, limit.clamp(1, MAX_PAGE * 10)]).await?;
        let log = |row: &Row| {
            Ok(JobLog {
                seq: row.int("seq")?,
                at: row.at("created_at")?,
                level: row.text("level")?,
                message: row.text("message")?,
            })
        };
        rows.iter().map(log).collect()
    }
}
