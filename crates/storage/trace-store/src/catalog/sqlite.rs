//! A catalog in a file of its own, for a store that stands alone.

use super::{CatalogError, Part, PartCatalog};
use async_trait::async_trait;
use pelton_ids::Micros;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlitePool};
use std::path::Path;

/// Parts in a SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteCatalog(SqlitePool);

fn failed(error: impl std::fmt::Display) -> CatalogError {
    CatalogError(error.to_string())
}

impl SqliteCatalog {
    /// Opens the file, making it when absent.
    ///
    /// # Errors
    /// [`CatalogError`] when the file cannot be used.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|error| CatalogError(format!("{}: {error}", path.display())))?;
        let tables = "CREATE TABLE IF NOT EXISTS sealed (segment TEXT PRIMARY KEY NOT NULL);
             CREATE TABLE IF NOT EXISTS part (
               part_id TEXT PRIMARY KEY NOT NULL, segment TEXT NOT NULL, path_narrow TEXT NOT NULL,
               path_payload TEXT, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL,
               min_at INTEGER NOT NULL, max_at INTEGER NOT NULL, detail TEXT NOT NULL,
               sealed_at INTEGER NOT NULL);";
        sqlx::raw_sql(tables).execute(&pool).await.map_err(failed)?;
        Ok(Self(pool))
    }
}

fn part(row: &SqliteRow) -> Result<Part, sqlx::Error> {
    let detail: String = row.try_get("detail")?;
    Ok(Part {
        part_id: row.try_get("part_id")?,
        segment: row.try_get("segment")?,
        path_narrow: row.try_get("path_narrow")?,
        path_payload: row.try_get("path_payload")?,
        rows: row.try_get("row_count")?,
        bytes: row.try_get("bytes")?,
        min_at: Micros(row.try_get("min_at")?),
        max_at: Micros(row.try_get("max_at")?),
        detail: serde_json::from_str(&detail)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        sealed_at: Micros(row.try_get("sealed_at")?),
    })
}

#[async_trait]
impl PartCatalog for SqliteCatalog {
    async fn commit(&self, part: &Part) -> Result<(), CatalogError> {
        let mut tx = self.0.begin().await.map_err(failed)?;
        let first = sqlx::query("INSERT OR IGNORE INTO sealed (segment) VALUES ($1)")
            .bind(&part.segment)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        if first.rows_affected() == 0 {
            return Ok(());
        }
        sqlx::query("INSERT INTO part VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(&part.part_id)
            .bind(&part.segment)
            .bind(&part.path_narrow)
            .bind(&part.path_payload)
            .bind(part.rows)
            .bind(part.bytes)
            .bind(part.min_at.0)
            .bind(part.max_at.0)
            .bind(part.detail.to_string())
            .bind(part.sealed_at.0)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    async fn list(&self) -> Result<Vec<Part>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM part ORDER BY min_at, part_id")
            .fetch_all(&self.0)
            .await
            .map_err(failed)?;
        rows.iter().map(part).collect::<Result<_, _>>().map_err(failed)
    }

    async fn sealed_segments(&self) -> Result<Vec<String>, CatalogError> {
        let sql = "SELECT segment FROM sealed ORDER BY segment";
        sqlx::query_scalar(sql).fetch_all(&self.0).await.map_err(failed)
    }

    async fn remove(&self, part_ids: &[String]) -> Result<(), CatalogError> {
        let mut tx = self.0.begin().await.map_err(failed)?;
        for part_id in part_ids {
            sqlx::query("DELETE FROM part WHERE part_id = $1")
                .bind(part_id)
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)
    }
}
