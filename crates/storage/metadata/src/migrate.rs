//! Forward-only migrations, the same for both databases.

use crate::connection::{Connections, Tx};
use crate::error::{Result, StoreError};
use crate::row::values;
use pelton_ids::{Digest, Micros};

/// Every migration, oldest first. A released one is never edited: its digest is checked.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Any number that is the same in every Pelton: it names the lock that migrations hold.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7077)";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
  version BIGINT PRIMARY KEY, digest TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// Brings the schema up to date, in one transaction. Answers how many migrations it ran.
pub(crate) async fn migrate(connections: &Connections, now: Micros) -> Result<usize> {
    let mut tx = connections.begin().await?;
    if tx.is_postgres() {
        tx.script(POSTGRES_LOCK).await?;
    }
    tx.script(TABLE).await?;
    let done = applied(&mut tx).await?;
    check_history(&done)?;
    for (version, sql) in (1_i64..).zip(MIGRATIONS).skip(done.len()) {
        tx.script(sql).await?;
        tx.execute(
            "INSERT INTO schema_migrations (version, digest, applied_at) VALUES ($1, $2, $3)",
            values![version, Digest::of(sql.as_bytes()), now],
        )
        .await?;
    }
    tx.commit().await?;
    Ok(MIGRATIONS.len() - done.len())
}

async fn applied(tx: &mut Tx) -> Result<Vec<(i64, String)>> {
    let sql = "SELECT version, digest FROM schema_migrations ORDER BY version";
    let rows = tx.rows(sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.int("version")?, row.text("digest")?))).collect()
}

/// What was applied must be the beginning of what this version knows.
fn check_history(done: &[(i64, String)]) -> Result<()> {
    if done.len() > MIGRATIONS.len() {
        return Err(StoreError::Schema(format!(
            "it has {} migrations and this version of Pelton knows {}: install the newer version",
            done.len(),
            MIGRATIONS.len()
        )));
    }
    for ((expected, sql), (version, digest)) in (1_i64..).zip(MIGRATIONS).zip(done) {
        if *version != expected || *digest != Digest::of(sql.as_bytes()).to_string() {
            return Err(StoreError::Schema(format!("migration {version} is not the one released")));
        }
    }
    Ok(())
}
