//! One way to run a statement on SQLite and on PostgreSQL.
//!
//! Statements are written once: `$N` placeholders, TEXT, BIGINT and DOUBLE PRECISION only. SQLite
//! has one writing connection, so that writers queue here and not on its lock, and a pool of
//! reading ones.

use crate::error::Result;
use crate::row::{Row, Value};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::path::Path;
use std::time::Duration;

/// The open database.
pub(crate) enum Connections {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

/// A transaction that writes.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;

impl Connections {
    /// Opens the SQLite file at `path`, making it when absent.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // SQLite ends a transaction by itself when the disk is full, and sqlx goes on to count
            // it: such a connection could never begin another one.
            .before_acquire(|connection, _| {
                let sound = !connection.is_in_transaction();
                Box::pin(async move { Ok(sound) })
            })
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .min_connections(0)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self::Sqlite { writer, readers })
    }

    /// Connects to the PostgreSQL server at `url`.
    pub(crate) async fn open_postgres(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options.application_name("pelton"))
            .await?;
        Ok(Self::Postgres(pool))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Begins a transaction that may write. On SQLite it waits for the writer before it.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Reads every row.
    pub(crate) async fn rows(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = sqlite_query(sql, values).fetch_all(readers).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let rows = postgres_query(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Reads at most one row.
    pub(crate) async fn row(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }
}

impl Tx {
    /// Runs a statement and counts the rows that it touched.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => sqlite_query(sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => {
                postgres_query(sql, values).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// Runs a statement that answers rows.
    pub(crate) async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => {
                let rows = sqlite_query(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                let rows = postgres_query(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs a statement that answers at most one row.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// As `row`, locking what it reads where the database has more than one writer.
    ///
    /// `sql` and `locking` are the same statement, without and with `FOR UPDATE`.
    pub(crate) async fn rows_locked(
        &mut self,
        sql: &'static str,
        locking: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let sql = if matches!(self, Self::Postgres(_)) { locking } else { sql };
        self.rows(sql, values).await
    }

    /// Runs many statements that take no values.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(tx) => {
                sqlx::raw_sql(sql).execute(&mut **tx).await?;
            }
            Self::Postgres(tx) => {
                sqlx::raw_sql(sql).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

fn sqlite_query(
    sql: &'static str,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
    })
}

fn postgres_query(
    sql: &'static str,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
    })
}
