//! The meaning of a condition, row by row: what any compiled form of it must agree with.

use super::{Expr, Field, Op, Value};
use crate::feedback::FeedbackSummary;
use crate::record::TraceSummary;
use std::cmp::Ordering;

/// What a condition is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The narrow columns.
    pub summary: &'a TraceSummary,
    /// The feedback so far.
    pub feedback: FeedbackSummary,
    /// The searched part of the input.
    pub input: &'a str,
    /// The searched part of the output.
    pub output: &'a str,
}

impl Row<'_> {
    /// The value of `field`; [`Value::Null`] where there is none.
    #[must_use]
    pub fn value(&self, field: &Field) -> Value {
        fn text(value: Option<impl ToString>) -> Value {
            value.map_or(Value::Null, |value| Value::Text(value.to_string()))
        }
        let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
        let row = self.summary;
        match field {
            Field::Id => text(Some(row.id)),
            Field::TraceId => text(row.trace_id),
            Field::Endpoint => text(Some(&row.endpoint)),
            Field::ReleaseId => text(row.release_id),
            Field::ReleaseName => text(row.release_name.as_ref()),
            Field::Model => text(Some(&row.model)),
            Field::Provider => text(Some(&row.provider)),
            Field::Status => text(Some(row.status)),
            Field::ErrorCode => text(row.error_code.as_ref()),
            Field::Streamed => Value::Bool(row.streamed),
            Field::StartedAt => Value::Int(row.started_at.0),
            Field::LatencyUs => Value::Int(row.latency_us),
            Field::TtftUs => int(row.ttft_us),
            Field::PromptTokens => int(row.prompt_tokens),
            Field::CompletionTokens => int(row.completion_tokens),
            Field::CostNanousd => int(row.cost_nanousd),
            Field::ConfigHash => text(row.config_hash.as_ref()),
            Field::Unit => text(row.unit.as_ref()),
            Field::Tag(key) => text(row.tags.get(key)),
            Field::FeedbackCount => Value::Int(self.feedback.count),
            Field::Score => self.feedback.score.map_or(Value::Null, Value::Float),
            Field::HasCorrection => Value::Bool(self.feedback.has_correction),
        }
    }
}

impl Expr {
    /// Whether the condition holds for `row`.
    #[must_use]
    pub fn matches(&self, row: &Row<'_>) -> bool {
        match self {
            Self::All(of) => of.iter().all(|each| each.matches(row)),
            Self::Any(of) => of.iter().any(|each| each.matches(row)),
            Self::Not(inner) => !inner.matches(row),
            Self::Compare { field, op, value } => {
                compare(&row.value(field), value).is_some_and(|order| op.admits(order))
            }
            Self::In { field, values } => {
                let found = row.value(field);
                values.iter().any(|value| compare(&found, value) == Some(Ordering::Equal))
            }
            Self::Present(field) => row.value(field) != Value::Null,
            Self::Text(wanted) => {
                let wanted = wanted.to_lowercase();
                [row.input, row.output].iter().any(|text| contains_lowercase(text, &wanted))
            }
        }
    }
}

impl Op {
    const fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// Whether `text`, in lower case, contains `wanted`, which is in lower case.
fn contains_lowercase(text: &str, wanted: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(wanted);
    }
    let Some((first, rest)) = wanted.as_bytes().split_first() else { return true };
    let starts_here = |at: &[u8]| {
        at.split_first().is_some_and(|(here, after)| {
            here.to_ascii_lowercase() == *first
                && after.get(..rest.len()).is_some_and(|after| after.eq_ignore_ascii_case(rest))
        })
    };
    (0..text.len()).any(|start| starts_here(&text.as_bytes()[start..]))
}

/// How two values compare; absent when one is, or when they are of different kinds.
#[expect(clippy::cast_precision_loss, reason = "mixed comparisons are made as f64 everywhere")]
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Float(right)) => (*left as f64).partial_cmp(right),
        (Value::Float(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        _ => None,
    }
}
