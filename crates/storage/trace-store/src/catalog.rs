//! The catalog of sealed parts: writing to it is the single commit point of sealing.

mod memory;
mod sqlite;

pub use memory::MemoryCatalog;
pub use sqlite::SqliteCatalog;

use async_trait::async_trait;
use pelton_ids::Micros;
use serde::{Deserialize, Serialize};

/// The files that one hot segment was sealed into. Paths are relative to the store's `parts` folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Names the part.
    pub part_id: String,
    /// The segment that it was sealed from.
    pub segment: String,
    /// The narrow columns.
    pub path_narrow: String,
    /// The payloads; absent once their retention has passed.
    pub path_payload: Option<String>,
    /// Inferences.
    pub rows: i64,
    /// Bytes of all files.
    pub bytes: i64,
    /// The earliest start, or the earliest feedback where there is no inference.
    pub min_at: Micros,
    /// The latest start, or the latest feedback where that is later.
    pub max_at: Micros,
    /// What the store wants to know besides: a [`PartDetail`].
    pub detail: serde_json::Value,
    /// When it was sealed.
    pub sealed_at: Micros,
}

/// What a catalog keeps for the store without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartDetail {
    /// The feedback that arrived while the segment was hot.
    pub path_feedback: Option<String>,
    /// Feedback records.
    pub feedback_rows: i64,
    /// When the latest inference started.
    pub last_start: i64,
    /// When the latest feedback arrived.
    pub last_feedback: i64,
    /// Size and XXH3 of every file, by path.
    pub files: Vec<FileSeal>,
}

/// What a file must look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeal {
    /// The path, relative to the `parts` folder.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// XXH3 of the content, 16 hexadecimal digits.
    pub xxh3: String,
}

/// The catalog did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CatalogError(pub String);

/// Where the list of parts is kept.
#[async_trait]
pub trait PartCatalog: Send + Sync {
    /// Adds the part and marks its segment as sealed, both or neither, durably. Doing it again
    /// for the same segment changes nothing.
    ///
    /// # Errors
    /// [`CatalogError`] when it is not known to be done.
    async fn commit(&self, part: &Part) -> Result<(), CatalogError>;

    /// Every part.
    ///
    /// # Errors
    /// [`CatalogError`] when the catalog cannot be read.
    async fn list(&self) -> Result<Vec<Part>, CatalogError>;

    /// Every segment that was ever sealed, those too whose parts were removed since.
    ///
    /// # Errors
    /// [`CatalogError`] when the catalog cannot be read.
    async fn sealed_segments(&self) -> Result<Vec<String>, CatalogError>;

    /// Takes parts off the list. Their segments stay sealed.
    ///
    /// # Errors
    /// [`CatalogError`] when it is not known to be done.
    async fn remove(&self, part_ids: &[String]) -> Result<(), CatalogError>;
}
