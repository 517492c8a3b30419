//! Figures by group, as one plan over hot and sealed rows.

use crate::compile::{column_of, columns_of, condition, field};
use crate::error::{Result, unexpected};
use crate::feedback_lookup::FeedbackLookup;
use crate::session::Session;
use crate::source::all_rows;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{approx_percentile_cont, avg, count, max, min, sum};
use datafusion::prelude::{Expr as Plan, cast, col, in_list, lit, when};
use pelton_trace_store::{
    Aggregate, AggregateQuery, Column, Field, GroupKey, Span, Status, Value, View,
};
use serde::Serialize;

/// One group and its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AggregateRow {
    /// The keys, in the order asked for. A time is its first microsecond since 1970.
    pub group: Vec<Value>,
    /// The figures, in the order asked for; absent where no row has a value.
    pub values: Vec<Option<f64>>,
}

/// Whether the question reads feedback.
pub(crate) fn reads_feedback(query: &AggregateQuery) -> bool {
    let mut reads = query.aggregates.iter().filter_map(Aggregate::field).any(Field::is_feedback);
    reads |= query
        .group_by
        .iter()
        .any(|key| matches!(key, GroupKey::Field(field) if field.is_feedback()));
    if let Some(filter) = &query.filter {
        filter.fields(&mut |field| reads |= field.is_feedback());
    }
    reads
}

pub(crate) async fn aggregate(
    session: &Session,
    view: &View,
    query: &AggregateQuery,
    feedback: &FeedbackLookup,
) -> Result<Vec<AggregateRow>> {
    let span = Span { project: query.project, since: query.since, until: query.until };
    let mut rows = all_rows(session, view, &span, &needed(query)).await?;
    if let Some(filter) = &query.filter {
        rows = rows.filter(condition(filter, feedback))?;
    }
    let keys = query.group_by.iter().enumerate();
    let keys = keys
        .map(|(at, key)| group_key(key, feedback).alias(format!("key{at}")))
        .collect::<Vec<_>>();
    let figures = query
        .aggregates
        .iter()
        .enumerate()
        .map(|(at, of)| Ok(figure(of, feedback)?.alias(format!("figure{at}"))))
        .collect::<Result<Vec<_>>>()?;
    let key_names = (0..keys.len()).map(|at| format!("key{at}")).collect::<Vec<_>>();
    let numbers = (0..figures.len())
        .map(|at| format!("figure{at}"))
        .map(|name| cast(col(&name), DataType::Float64).alias(name));
    let answer = key_names.iter().map(col).chain(numbers).collect::<Vec<_>>();
    let order = key_names.iter().map(|name| col(name).sort(true, false)).collect::<Vec<_>>();
    let mut groups = rows.aggregate(keys, figures)?.select(answer)?;
    if !order.is_empty() {
        groups = groups.sort(order)?;
    }
    let groups = groups.limit(0, Some(query.limit))?;
    let key_count = query.group_by.len();
    let batches = session.run(async move { Ok(groups.collect().await?) }).await?;
    batches.iter().try_fold(Vec::new(), |mut rows, batch| {
        for row in 0..batch.num_rows() {
            rows.push(read_row(batch, row, key_count)?);
        }
        Ok(rows)
    })
}

/// The columns that the plan reads, each once; never none, so that rows can be counted.
fn needed(query: &AggregateQuery) -> Vec<Column> {
    let mut columns = vec![Column::StartedAt];
    if let Some(filter) = &query.filter {
        columns_of(filter, &mut columns);
    }
    for key in &query.group_by {
        if let GroupKey::Field(field) = key {
            columns.push(column_of(field));
        }
    }
    for aggregate in &query.aggregates {
        columns.extend(aggregate.field().map(column_of));
        if *aggregate == Aggregate::Errors {
            columns.push(Column::Status);
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn group_key(key: &GroupKey, feedback: &FeedbackLookup) -> Plan {
    match key {
        GroupKey::Field(of) => field(of, feedback),
        GroupKey::Time(unit) => {
            let width = lit(unit.micros());
            col(Column::StartedAt.name()) / width.clone() * width
        }
    }
}

fn figure(of: &Aggregate, feedback: &FeedbackLookup) -> Result<Plan> {
    let number = |of: &Field| cast(field(of, feedback), DataType::Float64);
    Ok(match of {
        Aggregate::Count => count(lit(1)),
        Aggregate::Errors => {
            let failures = Status::ALL.into_iter().filter(|status| status.is_failure());
            let failures = failures.map(|status| lit(status.as_str())).collect();
            let failed = in_list(col(Column::Status.name()), failures, false);
            // Counts the rows for which it is not null.
            count(when(failed, lit(1)).end()?)
        }
        Aggregate::Sum(of) => sum(number(of)),
        Aggregate::Mean(of) => avg(number(of)),
        Aggregate::Min(of) => min(number(of)),
        Aggregate::Max(of) => max(number(of)),
        Aggregate::Quantile { field: of, q } => {
            approx_percentile_cont(number(of).sort(true, false), lit(*q), None)
        }
    })
}

fn read_row(batch: &RecordBatch, row: usize, keys: usize) -> Result<AggregateRow> {
    let (keys, figures) = batch.columns().split_at(keys);
    let figure = |array: &dyn Array| {
        let figures = array
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| unexpected("a figure is no number"))?;
        Ok(figures.is_valid(row).then(|| figures.value(row)))
    };
    Ok(AggregateRow {
        group: keys.iter().map(|key| read_key(key, row)).collect::<Result<_>>()?,
        values: figures.iter().map(|array| figure(array)).collect::<Result<_>>()?,
    })
}

fn read_key(key: &dyn Array, row: usize) -> Result<Value> {
    if key.is_null(row) {
        return Ok(Value::Null);
    }
    match key.data_type() {
        DataType::Utf8 => Ok(Value::Text(key.as_string::<i32>().value(row).to_owned())),
        DataType::Int64 => Ok(Value::Int(key.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => Ok(Value::Float(key.as_primitive::<Float64Type>().value(row))),
        DataType::Boolean => Ok(Value::Bool(key.as_boolean().value(row))),
        other => Err(unexpected(format!("a group key came back as {other}"))),
    }
}
