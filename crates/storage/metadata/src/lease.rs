//! Leases: one holder at a time for a singleton task, such as garbage collection.
//!
//! Each change of holder raises the epoch. Work under a lease checks it before it has an effect,
//! so that a holder that slept through the end of its lease does no harm.

use crate::error::{Result, StoreError};
use crate::row::values;
use crate::store::Store;
use pelton_context::OpContext;
use pelton_ids::Micros;

/// A lease held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with every change of holder.
    pub epoch: i64,
    /// Until when, if not renewed.
    pub until: Micros,
}

impl Store {
    /// Takes the lease `name` for `ttl` microseconds, or renews it; nothing while another holds it.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn lease_acquire(
        &self,
        ctx: &OpContext,
        name: &str,
        holder: &str,
        ttl: i64,
    ) -> Result<Option<Lease>> {
        let mut tx = self.bookkeep(ctx).await?;
        let now = self.lease_now(&mut tx).await?;
        let row = tx
            .row(
                "INSERT INTO leases (name, holder, epoch, until_at) VALUES ($1, $2, 1, $4)
                 ON CONFLICT (name) DO UPDATE SET
                   epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder
                     AND leases.until_at > $3 THEN 0 ELSE 1 END,
                   holder = excluded.holder, until_at = excluded.until_at
                 WHERE leases.holder = excluded.holder OR leases.until_at <= $3
                 RETURNING epoch",
                values![name, holder, now, now.plus(ttl)],
            )
            .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let epoch = row.int("epoch")?;
        Ok(Some(Lease { name: name.into(), holder: holder.into(), epoch, until: now.plus(ttl) }))
    }

    /// Whether the lease is still held as it was given.
    ///
    /// # Errors
    /// `Fenced` when it is not.
    pub async fn lease_check(&self, ctx: &OpContext, lease: &Lease) -> Result<()> {
        let Lease { name, holder, epoch, until: _ } = lease;
        let mut tx = self.bookkeep(ctx).await?;
        let now = self.lease_now(&mut tx).await?;
        let sql = "SELECT name FROM leases
                   WHERE name = $1 AND holder = $2 AND epoch = $3 AND until_at > $4";
        let held = tx.row(sql, values![name, holder, *epoch, now]).await?;
        held.map(drop).ok_or_else(|| StoreError::Fenced(name.clone()))
    }

    /// Gives the lease up before its time; nothing happens when it is lost already.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn lease_release(&self, ctx: &OpContext, lease: &Lease) -> Result<()> {
        let Lease { name, holder, epoch, until: _ } = lease;
        let mut tx = self.bookkeep(ctx).await?;
        let sql = "UPDATE leases SET until_at = 0 WHERE name = $1 AND holder = $2 AND epoch = $3";
        tx.execute(sql, values![name, holder, *epoch]).await?;
        tx.commit().await
    }
}
