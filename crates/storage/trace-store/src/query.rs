//! The one typed tree that every question about traces is asked in. It names no SQL and no engine,
//! so that another store can answer it; the project is not optional, so no caller can forget it.

mod cursor;
mod expression;
mod matches;
mod validate;

pub use cursor::{BadCursor, Cursor};
pub use expression::{Expr, Field, Kind, Op, Value};
pub use matches::Row;
pub use validate::QueryError;

use pelton_ids::{Micros, ProjectId};
use serde::{Deserialize, Serialize};

/// A page of traces, by time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceQuery {
    /// The tenant.
    pub project: ProjectId,
    /// Started at this instant or later.
    #[serde(default)]
    pub since: Option<Micros>,
    /// Started before this instant.
    #[serde(default)]
    pub until: Option<Micros>,
    /// Which of them; absent: all.
    #[serde(default)]
    pub filter: Option<Expr>,
    /// Which end comes first.
    #[serde(default)]
    pub order: Order,
    /// Rows wanted, 1 to [`TraceQuery::MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}

impl TraceQuery {
    /// Rows in a page at most.
    pub const MAX_LIMIT: usize = 1_000;

    /// The newest `limit` traces of `project`.
    #[must_use]
    pub const fn newest(project: ProjectId, limit: usize) -> Self {
        Self {
            project,
            since: None,
            until: None,
            filter: None,
            order: Order::Newest,
            limit,
            cursor: None,
        }
    }

    /// This query, for those rows alone that `filter` holds for.
    #[must_use]
    pub fn filtered(mut self, filter: Expr) -> Self {
        self.filter = Some(filter);
        self
    }
}

/// Which end of time a list starts from. Ties are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

/// Figures over traces, by group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregateQuery {
    /// The tenant.
    pub project: ProjectId,
    /// Started at this instant or later.
    #[serde(default)]
    pub since: Option<Micros>,
    /// Started before this instant.
    #[serde(default)]
    pub until: Option<Micros>,
    /// Which of them; absent: all.
    #[serde(default)]
    pub filter: Option<Expr>,
    /// What makes a group; empty: one group of everything.
    #[serde(default)]
    pub group_by: Vec<GroupKey>,
    /// What is computed for each.
    pub aggregates: Vec<Aggregate>,
    /// Groups wanted, 1 to [`AggregateQuery::MAX_LIMIT`]; they come ordered by their keys.
    pub limit: usize,
}

impl AggregateQuery {
    /// Groups in an answer at most.
    pub const MAX_LIMIT: usize = 10_000;
}

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    /// Rows with the same value; those without one form a group of their own.
    Field(Field),
    /// Rows that started in the same stretch of time; the key is its first microsecond.
    Time(TimeUnit),
}

/// A stretch of time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours from midnight UTC.
    Day,
}

impl TimeUnit {
    /// Its length in microseconds.
    #[must_use]
    pub const fn micros(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

/// What is computed for a group. Rows without a value for the field are left out; a figure over
/// none is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Rows.
    Count,
    /// Rows whose status is a failure: `error` or `partial`.
    Errors,
    /// The sum of a numeric field.
    Sum(Field),
    /// The mean of a numeric field.
    Mean(Field),
    /// The least value of a numeric field.
    Min(Field),
    /// The greatest value of a numeric field.
    Max(Field),
    /// The `q` quantile of a numeric field, from a t-digest: within about 1% of the rank asked
    /// for, closer at the tails.
    Quantile {
        /// The field.
        field: Field,
        /// From 0 (least) to 1 (greatest).
        q: f64,
    },
}

impl Aggregate {
    /// The field that it reads.
    #[must_use]
    pub const fn field(&self) -> Option<&Field> {
        match self {
            Self::Count | Self::Errors => None,
            Self::Sum(field) | Self::Mean(field) | Self::Min(field) | Self::Max(field) => {
                Some(field)
            }
            Self::Quantile { field, .. } => Some(field),
        }
    }
}
