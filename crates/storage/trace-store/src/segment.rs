//! A hot segment: one SQLite file that takes records until it is sealed. SQLite's WAL is the log.

use crate::error::{Result, at_file, at_segment};
use pelton_ids::Micros;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqlitePool};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

const VERSION: i64 = 1;
const READERS: u32 = 3;

/// `seq` counts up in each table, so that a reader can ask for what it has not seen.
const TABLES: &str = "
    CREATE TABLE inference (
      seq INTEGER PRIMARY KEY NOT NULL,
      id TEXT NOT NULL UNIQUE, project TEXT NOT NULL, started_at INTEGER NOT NULL, trace_id TEXT,
      endpoint TEXT NOT NULL, release_id TEXT, release_name TEXT, model TEXT NOT NULL,
      provider TEXT NOT NULL, status TEXT NOT NULL, error_code TEXT, streamed INTEGER NOT NULL,
      latency_us INTEGER NOT NULL, ttft_us INTEGER, prompt_tokens INTEGER,
      completion_tokens INTEGER, cost_nanousd INTEGER, config_hash TEXT, price_version TEXT,
      unit TEXT, tags TEXT NOT NULL, preview_input TEXT NOT NULL, preview_output TEXT NOT NULL,
      input_text TEXT NOT NULL, output_text TEXT NOT NULL);
    CREATE INDEX inference_by_time ON inference (project, started_at, id);
    CREATE TABLE payload (seq INTEGER PRIMARY KEY NOT NULL, body BLOB NOT NULL);
    CREATE TABLE feedback (
      seq INTEGER PRIMARY KEY NOT NULL,
      id TEXT NOT NULL UNIQUE, inference_id TEXT NOT NULL, project TEXT NOT NULL,
      at INTEGER NOT NULL, release_id TEXT, score REAL, label TEXT, correction TEXT, comment TEXT,
      source TEXT NOT NULL, given_by TEXT NOT NULL);
    CREATE INDEX feedback_by_inference ON feedback (inference_id);
    PRAGMA user_version = 1;";

/// One hot segment. Queries hold it by `Arc`; once sealed, the last of them removes its file.
#[derive(Debug)]
pub struct Segment {
    /// Its name: the microsecond at which it was opened, 20 digits, so that names sort by time.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) opened_at: Micros,
    pub(crate) rows: AtomicI64,
    pub(crate) bytes: AtomicI64,
    /// Nothing is written to it any more.
    pub(crate) closed: AtomicBool,
    doomed: AtomicBool,
    readers: SqlitePool,
}

/// The files of a segment: the database, its log and its log's index.
fn files(path: &Path) -> [PathBuf; 3] {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    [path.to_owned(), beside("-wal"), beside("-shm")]
}

/// Removes a segment's files, the database last: a leftover database without its log would look
/// whole, a log without its database is nothing.
pub(crate) fn remove_files(path: &Path) -> std::io::Result<()> {
    for file in files(path) {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
}

impl Segment {
    /// The name of a segment that is opened at `at`.
    pub(crate) fn name_at(at: Micros) -> String {
        format!("{:020}", at.0)
    }

    fn new(path: PathBuf, name: String, rows: i64, bytes: i64) -> Self {
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options(&path).pragma("query_only", "1").row_buffer_size(256));
        Self {
            opened_at: Micros(name.parse().unwrap_or_default()),
            name,
            path,
            rows: AtomicI64::new(rows),
            bytes: AtomicI64::new(bytes),
            closed: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
            readers,
        }
    }

    /// Makes a new segment in `folder` and the connection that writes to it.
    pub(crate) async fn create(folder: &Path, name: String) -> Result<(Self, SqliteConnection)> {
        let path = folder.join(format!("{name}.db"));
        let connect = async {
            let mut connection = options(&path).create_if_missing(true).connect().await?;
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await?;
            sqlx::raw_sql(TABLES).execute(&mut connection).await?;
            sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match connect.await {
            Ok(connection) => {
                sync_folder(folder)?;
                Ok((Self::new(path, name, 0, 0), connection))
            }
            Err(error) => {
                // Half a segment holds nothing; a full disk must not leave one behind.
                drop(remove_files(&path));
                Err(at_segment(&path)(error))
            }
        }
    }

    /// Finds the segment in the file `path`, which an earlier process wrote. A file without
    /// tables, left by a crash while it was made, is `None`.
    pub(crate) async fn recover(path: &Path) -> Result<Option<(Self, SqliteConnection)>> {
        let failed = at_segment(path);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut connection = options(path).connect().await.map_err(&failed)?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(&failed)?;
        match version {
            0 => return Ok(None),
            VERSION => {}
            other => {
                return Err(at_segment(path)(format!("its version {other} is not known here")));
            }
        }
        let sql = "SELECT (SELECT count(*) FROM inference) + (SELECT count(*) FROM feedback)";
        let rows: i64 =
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(&failed)?;
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
            .fetch_one(&mut connection)
            .await
            .map_err(&failed)?;
        Ok(Some((Self::new(path.to_owned(), name, rows, pages * 4_096), connection)))
    }

    /// A connection to write with.
    pub(crate) async fn connect(&self) -> Result<SqliteConnection> {
        options(&self.path).connect().await.map_err(at_segment(&self.path))
    }

    /// Connections to read with.
    pub(crate) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the files removed when nobody reads them any more.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::SeqCst)
            && let Err(error) = remove_files(&self.path)
        {
            // The catalog says that it is sealed, so the next start removes it.
            tracing::warn!(segment = %self.path.display(), %error, "a sealed segment could not be removed");
        }
    }
}

/// Makes the creation, renaming or removal of files in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(at_file(folder))
}
