//! The evaluator in memory: slow, obvious, and right.

use super::traffic::Traffic;
use pelton_ids::{Micros, ProjectId};
use pelton_trace_query::{AggregateRow, ListedTrace};
use pelton_trace_store::{
    Aggregate, AggregateQuery, Expr, FeedbackSummary, Field, GroupKey, Order, Row, Status,
    TraceQuery, TraceRecord, Value,
};
use std::cmp::Ordering;

fn feedback_on(traffic: &Traffic, record: &TraceRecord) -> FeedbackSummary {
    let of = traffic.feedback.iter().filter(|one| one.inference_id == record.summary.id);
    FeedbackSummary::of(of)
}

fn row<'a>(traffic: &Traffic, record: &'a TraceRecord) -> Row<'a> {
    Row {
        summary: &record.summary,
        feedback: feedback_on(traffic, record),
        input: record.payload.input.as_deref().unwrap(),
        output: &record.payload.output,
    }
}

fn matching<'a>(
    traffic: &'a Traffic,
    project: ProjectId,
    (since, until): (Option<Micros>, Option<Micros>),
    filter: Option<&Expr>,
) -> Vec<&'a TraceRecord> {
    let matches = |record: &&TraceRecord| {
        record.summary.project == project
            && since.is_none_or(|since| record.summary.started_at >= since)
            && until.is_none_or(|until| record.summary.started_at < until)
            && filter.is_none_or(|filter| filter.matches(&row(traffic, record)))
    };
    traffic.records.iter().filter(matches).collect()
}

/// Every row that the query lists, over all its pages.
pub fn list(traffic: &Traffic, query: &TraceQuery) -> Vec<ListedTrace> {
    let span = (query.since, query.until);
    let mut found = matching(traffic, query.project, span, query.filter.as_ref());
    found.sort_by_key(|record| (record.summary.started_at, record.summary.id));
    if query.order == Order::Newest {
        found.reverse();
    }
    let listed = |record: &&TraceRecord| ListedTrace {
        summary: record.summary.clone(),
        feedback: feedback_on(traffic, record),
    };
    found.iter().map(listed).collect()
}

pub fn aggregate(traffic: &Traffic, query: &AggregateQuery) -> Vec<AggregateRow> {
    let span = (query.since, query.until);
    let found = matching(traffic, query.project, span, query.filter.as_ref());
    let mut groups: Vec<(Vec<Value>, Vec<&TraceRecord>)> = Vec::new();
    if query.group_by.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    for record in found {
        let key: Vec<Value> =
            query.group_by.iter().map(|key| key_of(&row(traffic, record), key)).collect();
        match groups.iter_mut().find(|(of, _)| *of == key) {
            Some((_, records)) => records.push(record),
            None => groups.push((key, vec![record])),
        }
    }
    groups.sort_by(|(left, _), (right, _)| compare(left, right));
    groups.truncate(query.limit);
    let figures = |(group, records): (Vec<Value>, Vec<&TraceRecord>)| AggregateRow {
        group,
        values: query.aggregates.iter().map(|of| figure(traffic, &records, of)).collect(),
    };
    groups.into_iter().map(figures).collect()
}

fn key_of(row: &Row<'_>, key: &GroupKey) -> Value {
    match key {
        GroupKey::Field(field) => row.value(field),
        GroupKey::Time(unit) => {
            let at = row.summary.started_at.0;
            Value::Int(at - at.rem_euclid(unit.micros()))
        }
    }
}

fn compare(left: &[Value], right: &[Value]) -> Ordering {
    let one = |left: &Value, right: &Value| match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.total_cmp(right),
        other => panic!("keys of two kinds: {other:?}"),
    };
    let mut orders = left.iter().zip(right).map(|(left, right)| one(left, right));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The values of a numeric field, ascending.
pub fn numbers(traffic: &Traffic, records: &[&TraceRecord], field: &Field) -> Vec<f64> {
    let number = |record: &&TraceRecord| match row(traffic, record).value(field) {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    };
    let mut numbers: Vec<f64> = records.iter().filter_map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn figure(traffic: &Traffic, records: &[&TraceRecord], of: &Aggregate) -> Option<f64> {
    let of_numbers = |field: &Field, fold: fn(&[f64]) -> f64| {
        let numbers = numbers(traffic, records, field);
        (!numbers.is_empty()).then(|| fold(&numbers))
    };
    match of {
        Aggregate::Count => Some(records.len() as f64),
        Aggregate::Errors => {
            let failed = |record: &&&TraceRecord| {
                matches!(record.summary.status, Status::Error | Status::Partial)
            };
            Some(records.iter().filter(failed).count() as f64)
        }
        Aggregate::Sum(field) => of_numbers(field, |all| all.iter().sum()),
        Aggregate::Mean(field) => {
            of_numbers(field, |all| all.iter().sum::<f64>() / all.len() as f64)
        }
        Aggregate::Min(field) => of_numbers(field, |all| all[0]),
        Aggregate::Max(field) => of_numbers(field, |all| all[all.len() - 1]),
        // Approximate: compared by rank, elsewhere.
        Aggregate::Quantile { .. } => None,
    }
}
