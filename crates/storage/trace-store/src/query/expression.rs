//! Conditions on one trace and its feedback.

use serde::{Deserialize, Serialize};

/// A condition. A comparison with an absent value is false, and its negation true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// Every one holds; of none: true.
    All(Vec<Self>),
    /// At least one holds; of none: false.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The field stands in this relation to the value.
    Compare {
        /// The field.
        field: Field,
        /// The relation.
        op: Op,
        /// The value.
        value: Value,
    },
    /// The field has one of the values.
    In {
        /// The field.
        field: Field,
        /// The values.
        values: Vec<Value>,
    },
    /// The field has a value.
    Present(Field),
    /// The input or the output contains the text, whatever the case of its letters.
    Text(String),
}

impl Expr {
    /// `field = value`.
    #[must_use]
    pub fn eq(field: Field, value: impl Into<Value>) -> Self {
        Self::compare(field, Op::Eq, value)
    }

    /// `field op value`.
    #[must_use]
    pub fn compare(field: Field, op: Op, value: impl Into<Value>) -> Self {
        Self::Compare { field, op, value: value.into() }
    }

    /// The input or the output contains `text`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// There is feedback, or there is none.
    #[must_use]
    pub fn has_feedback(wanted: bool) -> Self {
        let op = if wanted { Op::Gt } else { Op::Eq };
        Self::compare(Field::FeedbackCount, op, 0)
    }

    /// There is a correction, or there is none.
    #[must_use]
    pub fn has_correction(wanted: bool) -> Self {
        Self::eq(Field::HasCorrection, wanted)
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut of) => {
                of.push(other);
                Self::All(of)
            }
            first => Self::All(vec![first, other]),
        }
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Calls `visit` with every field that the condition reads.
    pub fn fields<'a>(&'a self, visit: &mut dyn FnMut(&'a Field)) {
        match self {
            Self::All(of) | Self::Any(of) => of.iter().for_each(|each| each.fields(visit)),
            Self::Not(inner) => inner.fields(visit),
            Self::Compare { field, .. } | Self::In { field, .. } | Self::Present(field) => {
                visit(field);
            }
            Self::Text(_) => {}
        }
    }

    /// Whether a text search is part of it.
    #[must_use]
    pub fn searches_text(&self) -> bool {
        match self {
            Self::All(of) | Self::Any(of) => of.iter().any(Self::searches_text),
            Self::Not(inner) => inner.searches_text(),
            Self::Text(_) => true,
            Self::Compare { .. } | Self::In { .. } | Self::Present(_) => false,
        }
    }
}

/// A relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Equal.
    Eq,
    /// Different; an absent value is not different from anything.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Absent: only in answers, as the key of rows that have no value.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Text.
    Text(String),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A column of a trace, a tag of it, or a figure of its feedback.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The inference.
    Id,
    /// The trace.
    TraceId,
    /// The endpoint.
    Endpoint,
    /// The release.
    ReleaseId,
    /// The release's name.
    ReleaseName,
    /// The model.
    Model,
    /// The target.
    Provider,
    /// How it ended.
    Status,
    /// Why it failed.
    ErrorCode,
    /// Whether it was streamed.
    Streamed,
    /// When it started, in microseconds since 1970.
    StartedAt,
    /// Microseconds to the last byte.
    LatencyUs,
    /// Microseconds to the first token.
    TtftUs,
    /// Tokens read.
    PromptTokens,
    /// Tokens written.
    CompletionTokens,
    /// Cost in billionths of a US dollar.
    CostNanousd,
    /// The configuration.
    ConfigHash,
    /// What the assignment sticks to.
    Unit,
    /// The application's label of this name.
    Tag(String),
    /// Feedback records; 0 where there are none.
    FeedbackCount,
    /// The mean score.
    Score,
    /// Whether there is a correction.
    HasCorrection,
}

/// What values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Int,
    /// Any numbers.
    Float,
    /// Yes or no.
    Bool,
}

impl Field {
    /// What values it has.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Id
            | Self::TraceId
            | Self::Endpoint
            | Self::ReleaseId
            | Self::ReleaseName
            | Self::Model
            | Self::Provider
            | Self::Status
            | Self::ErrorCode
            | Self::ConfigHash
            | Self::Unit
            | Self::Tag(_) => Kind::Text,
            Self::StartedAt
            | Self::LatencyUs
            | Self::TtftUs
            | Self::PromptTokens
            | Self::CompletionTokens
            | Self::CostNanousd
            | Self::FeedbackCount => Kind::Int,
            Self::Score => Kind::Float,
            Self::Streamed | Self::HasCorrection => Kind::Bool,
        }
    }

    /// Whether its values come from the feedback.
    #[must_use]
    pub const fn is_feedback(&self) -> bool {
        matches!(self, Self::FeedbackCount | Self::Score | Self::HasCorrection)
    }
}
