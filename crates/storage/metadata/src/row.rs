//! Values that go into a statement, and rows that come out of one.

use crate::error::{Result, StoreError};
use pelton_ids::{
    ApiKeyId, AuditId, DatasetId, DatasetVersionId, Digest, EndpointId, EvaluationId, GateId,
    JobId, Micros, ModelId, ProjectId, ReleaseId, RequestId, RolloutId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use std::fmt::Display;
use std::str::FromStr;

/// A bound value. `None` is NULL.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::row::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! from_text {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(it: $kind) -> Self {
                Self::Text(Some(it.to_string()))
            }
        }
        impl From<Option<$kind>> for Value {
            fn from(it: Option<$kind>) -> Self {
                Self::Text(it.map(|it| it.to_string()))
            }
        }
    )*};
}
from_text!(
    &str,
    String,
    &String,
    ApiKeyId,
    AuditId,
    DatasetId,
    DatasetVersionId,
    Digest,
    EndpointId,
    EvaluationId,
    GateId,
    JobId,
    ModelId,
    ProjectId,
    ReleaseId,
    RequestId,
    RolloutId
);

impl From<i64> for Value {
    fn from(it: i64) -> Self {
        Self::Int(Some(it))
    }
}

impl From<u32> for Value {
    fn from(it: u32) -> Self {
        Self::Int(Some(it.into()))
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Self {
        Self::Int(Some(it.into()))
    }
}

impl From<Micros> for Value {
    fn from(it: Micros) -> Self {
        Self::Int(Some(it.0))
    }
}

impl From<Option<Micros>> for Value {
    fn from(it: Option<Micros>) -> Self {
        Self::Int(it.map(|at| at.0))
    }
}

impl From<Option<i64>> for Value {
    fn from(it: Option<i64>) -> Self {
        Self::Int(it)
    }
}

/// The JSON text of `it`.
pub(crate) fn json<T: Serialize + ?Sized>(it: &T) -> Result<String> {
    serde_json::to_string(it).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// The JSON text of `it`, or NULL.
pub(crate) fn json_or_null<T: Serialize>(it: Option<&T>) -> Result<Option<String>> {
    it.map(json).transpose()
}

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text_or_null(&self, column: &'static str) -> Result<Option<String>> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn int_or_null(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// A non-negative number that fits `u32`.
    pub(crate) fn count(&self, column: &'static str) -> Result<u32> {
        let number = self.int(column)?;
        u32::try_from(number).map_err(|error| corrupt(column, &number.to_string(), error))
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn at(&self, column: &'static str) -> Result<Micros> {
        self.int(column).map(Micros)
    }

    pub(crate) fn at_or_null(&self, column: &'static str) -> Result<Option<Micros>> {
        Ok(self.int_or_null(column)?.map(Micros))
    }

    /// A text that is the written form of a `T`.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|error| corrupt(column, &text, error))
    }

    pub(crate) fn parse_or_null<T: FromStr<Err: Display>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>> {
        let Some(text) = self.text_or_null(column)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| corrupt(column, &text, error))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|error| corrupt(column, &text, error))
    }

    pub(crate) fn json_or_null<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>> {
        let Some(text) = self.text_or_null(column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| corrupt(column, &text, error))
    }
}

pub(crate) fn corrupt(column: &'static str, value: &str, reason: impl Display) -> StoreError {
    let value = value.chars().take(80).collect();
    StoreError::Corrupt { column, value, reason: reason.to_string() }
}
