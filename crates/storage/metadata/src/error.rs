//! What can go wrong in the metadata store, split by what the caller can do about it.

use pelton_context::Forbidden;

/// A store operation that was not done. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The caller lacks a right.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// No such thing in the caller's project.
    #[error("no {kind} `{name}` here")]
    NotFound {
        /// The noun, in words.
        kind: &'static str,
        /// The id or name that was asked for.
        name: String,
    },
    /// The name is taken, or another thing stands in the way.
    #[error("{kind} `{name}`: {reason}")]
    Conflict {
        /// The noun, in words.
        kind: &'static str,
        /// The id or name.
        name: String,
        /// What stands in the way.
        reason: String,
    },
    /// The thing changed since the caller read it: read it again and decide anew.
    #[error("{kind} `{name}` has changed meanwhile: expected generation {expected}, found {found}")]
    Stale {
        /// The noun, in words.
        kind: &'static str,
        /// The id or name.
        name: String,
        /// What the caller had read.
        expected: i64,
        /// What is stored.
        found: i64,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The list cursor was not made by this store.
    #[error("the cursor is not valid: start the list again without one")]
    BadCursor,
    /// Another worker holds the job or the lease by now; stop the work.
    #[error("`{0}` is held by another worker by now")]
    Fenced(String),
    /// The caller's deadline has passed.
    #[error("the deadline passed before the store answered")]
    DeadlineExceeded,
    /// The disk is full; reads go on, and writes will when space is made.
    #[error("the disk that holds the metadata is full: free some space, nothing was changed")]
    DiskFull,
    /// What is stored cannot be read.
    #[error("stored {column} `{value}` cannot be read: {reason}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// The start of the stored text.
        value: String,
        /// Why not.
        reason: String,
    },
    /// The database was written by a newer version, or its history was altered.
    #[error("the metadata schema does not fit this version: {0}")]
    Schema(String),
    /// The database failed.
    #[error("the metadata database failed")]
    Database(#[source] sqlx::Error),
}

/// `SQLITE_FULL`, and PostgreSQL's `disk_full`.
const DISK_FULL: [&str; 2] = ["13", "53100"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|database| database.code());
        if code.is_some_and(|code| DISK_FULL.contains(&code.as_ref())) {
            return Self::DiskFull;
        }
        Self::Database(error)
    }
}

impl StoreError {
    pub(crate) fn not_found(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    pub(crate) fn conflict(
        kind: &'static str,
        name: impl ToString,
        reason: impl Into<String>,
    ) -> Self {
        Self::Conflict { kind, name: name.to_string(), reason: reason.into() }
    }

    /// Turns a broken unique constraint into `Conflict`, and leaves other errors as they are.
    pub(crate) fn taken(self, kind: &'static str, name: impl ToString, reason: &str) -> Self {
        match &self {
            Self::Database(error)
                if error.as_database_error().is_some_and(|it| it.is_unique_violation()) =>
            {
                Self::conflict(kind, name, reason)
            }
            _ => self,
        }
    }
}

/// What a store operation answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
