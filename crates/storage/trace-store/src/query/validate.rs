//! Refuses questions that make no sense or cost too much, before anything runs.

use super::{Aggregate, AggregateQuery, Expr, Field, GroupKey, Kind, TraceQuery, Value};

/// Nesting of a condition at most.
const MAX_DEPTH: usize = 16;
/// Parts of a condition at most.
const MAX_NODES: usize = 256;
/// Values of one list at most.
const MAX_VALUES: usize = 1_000;
/// Bytes of one text at most.
const MAX_TEXT: usize = 1_024;
/// Group keys at most.
const MAX_KEYS: usize = 4;
/// Aggregates at most.
const MAX_AGGREGATES: usize = 16;

/// A question that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this query cannot be answered: {0}")]
pub struct QueryError(pub String);

fn refuse<T>(why: impl Into<String>) -> Result<T, QueryError> {
    Err(QueryError(why.into()))
}

impl TraceQuery {
    /// Checks limits and kinds.
    ///
    /// # Errors
    /// [`QueryError`], saying what to change.
    pub fn validate(&self) -> Result<(), QueryError> {
        check_limit(self.limit, Self::MAX_LIMIT)?;
        check_filter(self.filter.as_ref())
    }
}

impl AggregateQuery {
    /// Checks limits and kinds.
    ///
    /// # Errors
    /// [`QueryError`], saying what to change.
    pub fn validate(&self) -> Result<(), QueryError> {
        check_limit(self.limit, Self::MAX_LIMIT)?;
        check_filter(self.filter.as_ref())?;
        if self.group_by.len() > MAX_KEYS {
            return refuse(format!("at most {MAX_KEYS} group keys"));
        }
        if self.aggregates.is_empty() || self.aggregates.len() > MAX_AGGREGATES {
            return refuse(format!("ask for 1 to {MAX_AGGREGATES} aggregates"));
        }
        for key in &self.group_by {
            if let GroupKey::Field(field) = key {
                check_field(field)?;
                if *field == Field::StartedAt {
                    return refuse("group by minute, hour or day, not by instant");
                }
            }
        }
        self.aggregates.iter().try_for_each(check_aggregate)
    }
}

fn check_limit(limit: usize, most: usize) -> Result<(), QueryError> {
    if (1..=most).contains(&limit) {
        return Ok(());
    }
    refuse(format!("the limit must be from 1 to {most}, not {limit}"))
}

fn check_aggregate(aggregate: &Aggregate) -> Result<(), QueryError> {
    if let Aggregate::Quantile { q, .. } = aggregate
        && !(0.0..=1.0).contains(q)
    {
        return refuse(format!("a quantile lies from 0 to 1, not at {q}"));
    }
    match aggregate.field() {
        Some(field) if !matches!(field.kind(), Kind::Int | Kind::Float) => {
            refuse(format!("{field:?} is not a number"))
        }
        _ => Ok(()),
    }
}

fn check_filter(filter: Option<&Expr>) -> Result<(), QueryError> {
    let mut nodes = 0;
    filter.map_or(Ok(()), |filter| check_expression(filter, 1, &mut nodes))
}

fn check_expression(of: &Expr, depth: usize, nodes: &mut usize) -> Result<(), QueryError> {
    *nodes += 1;
    if depth > MAX_DEPTH {
        return refuse(format!("conditions nest at most {MAX_DEPTH} deep"));
    }
    if *nodes > MAX_NODES {
        return refuse(format!("a condition has at most {MAX_NODES} parts"));
    }
    match of {
        Expr::All(of) | Expr::Any(of) => {
            of.iter().try_for_each(|each| check_expression(each, depth + 1, nodes))
        }
        Expr::Not(inner) => check_expression(inner, depth + 1, nodes),
        Expr::Compare { field, value, .. } => check_value(field, value),
        Expr::In { field, values } if values.len() > MAX_VALUES => {
            refuse(format!("a list for {field:?} has at most {MAX_VALUES} values"))
        }
        Expr::In { field, values } => values.iter().try_for_each(|value| check_value(field, value)),
        Expr::Present(field) => check_field(field),
        Expr::Text(text) if text.is_empty() => refuse("the text to search for is empty"),
        Expr::Text(text) => check_text(text),
    }
}

fn check_field(field: &Field) -> Result<(), QueryError> {
    if let Field::Tag(key) = field { check_text(key) } else { Ok(()) }
}

fn check_value(field: &Field, value: &Value) -> Result<(), QueryError> {
    check_field(field)?;
    match (field.kind(), value) {
        (Kind::Text, Value::Text(text)) => check_text(text),
        (Kind::Int | Kind::Float, Value::Float(number)) if !number.is_finite() => {
            refuse(format!("{field:?} cannot be compared with {number}"))
        }
        (Kind::Int | Kind::Float, Value::Int(_) | Value::Float(_))
        | (Kind::Bool, Value::Bool(_)) => Ok(()),
        (kind, value) => {
            refuse(format!("{field:?} holds {kind:?} values and cannot be compared with {value:?}"))
        }
    }
}

fn check_text(text: &str) -> Result<(), QueryError> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    refuse(format!("a text has at most {MAX_TEXT} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Op;
    use pelton_ids::ProjectId;

    fn refusal(filter: Expr) -> String {
        let query = TraceQuery::newest(ProjectId::from_u128(1), 10).filtered(filter);
        query.validate().err().map(|error| error.0).unwrap_or_default()
    }

    #[test]
    fn accepts_what_makes_sense() {
        let filter = Expr::eq(Field::Endpoint, "support")
            .and(Expr::compare(Field::LatencyUs, Op::Gt, 0.5))
            .and(Expr::In { field: Field::Status, values: vec!["ok".into(), "error".into()] })
            .and(Expr::has_feedback(true).negated());
        assert_eq!(refusal(filter), "");
    }

    #[test]
    fn refuses_other_kinds_and_sizes() {
        let mut deep = Expr::text("x");
        for _ in 0..20 {
            deep = deep.negated();
        }
        assert_eq!(refusal(deep), "conditions nest at most 16 deep");
        assert_eq!(
            refusal(Expr::All(vec![Expr::text("x"); 300])),
            "a condition has at most 256 parts"
        );
        assert_eq!(refusal(Expr::text("")), "the text to search for is empty");
        assert_eq!(refusal(Expr::text("x".repeat(2_000))), "a text has at most 1024 bytes");
        assert_eq!(
            refusal(Expr::eq(Field::LatencyUs, "slow")),
            "LatencyUs holds Int values and cannot be compared with Text(\"slow\")"
        );
        assert_eq!(
            refusal(Expr::eq(Field::Model, Value::Null)),
            "Model holds Text values and cannot be compared with Null"
        );
        let limits = |limit| TraceQuery::newest(ProjectId::from_u128(1), limit).validate().is_ok();
        assert_eq!(
            [limits(0), limits(1), limits(1_000), limits(1_001)],
            [false, true, true, false]
        );
    }
}
