//! A version's file: canonical JSON lines, the same bytes for the same rows.

use crate::canonical::canonical_json;
use crate::row::DatasetRow;
use pelton_ids::{Digest, Hasher};
use serde_json::{Value, json};
use std::io::{self, BufRead, Write};

/// A version's file that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadVersionError {
    /// The file cannot be read.
    #[error("the dataset version cannot be read")]
    Io(#[from] io::Error),
    /// A line is not a row.
    #[error("line {line} of the dataset version is not a row")]
    Row {
        /// From 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
}

fn line_of(row: &DatasetRow) -> String {
    let DatasetRow { index, split, hash, messages, answer, label, provenance } = row;
    canonical_json(&json!({
        "index": index, "split": split, "hash": hash, "messages": messages, "answer": answer,
        "label": label,
        "provenance": serde_json::to_value(provenance).unwrap_or(Value::Null),
    }))
}

/// Writes one canonical JSON line per row.
///
/// # Errors
/// When `to` cannot be written.
pub fn write_rows<'a>(
    rows: impl IntoIterator<Item = &'a DatasetRow>,
    mut to: impl Write,
) -> io::Result<()> {
    for row in rows {
        to.write_all(line_of(row).as_bytes())?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// The digest of what [`write_rows`] writes.
pub(crate) fn rows_digest(rows: &[DatasetRow]) -> Digest {
    let mut hasher = Hasher::default();
    for row in rows {
        hasher.update(line_of(row).as_bytes());
        hasher.update(b"\n");
    }
    hasher.finish()
}

/// Reads what [`write_rows`] wrote.
///
/// # Errors
/// When the file cannot be read or a line is not a row.
pub fn read_version(from: impl BufRead) -> Result<Vec<DatasetRow>, ReadVersionError> {
    from.lines()
        .zip(1..)
        .map(|(text, line)| {
            serde_json::from_str(&text?).map_err(|source| ReadVersionError::Row { line, source })
        })
        .collect()
}
