//! The typed tree as DataFusion expressions. [`Expr::matches`] says what they must mean.

use crate::feedback_lookup::FeedbackLookup;
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::functions::string::expr_fn::{contains, lower};
use datafusion::logical_expr::{
    ColumnarValue, Expr as Plan, Operator, Volatility, binary_expr, create_udf,
};
use datafusion::prelude::{cast, col, in_list, lit};
use pelton_trace_store::{Column, Expr, Field, Kind, Op, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The narrow column that a field is, or that it is read from.
pub(crate) const fn column_of(field: &Field) -> Column {
    match field {
        Field::Id | Field::FeedbackCount | Field::Score | Field::HasCorrection => Column::Id,
        Field::TraceId => Column::TraceId,
        Field::Endpoint => Column::Endpoint,
        Field::ReleaseId => Column::ReleaseId,
        Field::ReleaseName => Column::ReleaseName,
        Field::Model => Column::Model,
        Field::Provider => Column::Provider,
        Field::Status => Column::Status,
        Field::ErrorCode => Column::ErrorCode,
        Field::Streamed => Column::Streamed,
        Field::StartedAt => Column::StartedAt,
        Field::LatencyUs => Column::LatencyUs,
        Field::TtftUs => Column::TtftUs,
        Field::PromptTokens => Column::PromptTokens,
        Field::CompletionTokens => Column::CompletionTokens,
        Field::CostNanousd => Column::CostNanousd,
        Field::ConfigHash => Column::ConfigHash,
        Field::Unit => Column::Unit,
        Field::Tag(_) => Column::Tags,
    }
}

/// Adds the columns that a condition reads.
pub(crate) fn columns_of(filter: &Expr, columns: &mut Vec<Column>) {
    filter.fields(&mut |field| columns.push(column_of(field)));
    if filter.searches_text() {
        columns.extend([Column::InputText, Column::OutputText]);
    }
}

/// The value of a field.
pub(crate) fn field(of: &Field, feedback: &FeedbackLookup) -> Plan {
    if let Some(figure) = feedback.figure(of) {
        return figure;
    }
    match of {
        Field::Tag(key) => tag(key),
        column => col(column_of(column).name()),
    }
}

/// The tag of this name, read from the tags' JSON; null where it is absent.
fn tag(key: &str) -> Plan {
    let wanted = key.to_owned();
    let body = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(tags) = arrays.first().and_then(|tags| tags.as_string_opt::<i32>()) else {
            return exec_err!("tags are text");
        };
        let read = |tags: Option<&str>| -> Option<String> {
            let tags = tags.filter(|tags| *tags != "{}")?;
            serde_json::from_str::<BTreeMap<String, String>>(tags).ok()?.remove(&wanted)
        };
        let values: ArrayRef = Arc::new(tags.iter().map(read).collect::<StringArray>());
        Ok(ColumnarValue::Array(values))
    };
    let name = format!("tag {key}");
    let function = create_udf(
        &name,
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(body),
    );
    function.call(vec![col(Column::Tags.name())])
}

/// A condition. It may be null where a value is absent; a filter takes that for false.
pub(crate) fn condition(of: &Expr, feedback: &FeedbackLookup) -> Plan {
    match of {
        Expr::All(of) => joined(of, feedback, Operator::And, true),
        Expr::Any(of) => joined(of, feedback, Operator::Or, false),
        Expr::Not(inner) => condition(inner, feedback).is_not_true(),
        Expr::Compare { field: of, op, value } => {
            let as_float = matches!(value, Value::Float(_));
            binary_expr(operand(of, feedback, as_float), operator(*op), literal(value, as_float))
        }
        Expr::In { values, .. } if values.is_empty() => lit(false),
        Expr::In { field: of, values } => {
            let as_float = values.iter().any(|value| matches!(value, Value::Float(_)));
            let values = values.iter().map(|value| literal(value, as_float)).collect();
            in_list(operand(of, feedback, as_float), values, false)
        }
        Expr::Present(of) => field(of, feedback).is_not_null(),
        Expr::Text(text) => {
            let wanted = text.to_lowercase();
            let found = |column: Column| contains(lower(col(column.name())), lit(wanted.clone()));
            found(Column::InputText).or(found(Column::OutputText))
        }
    }
}

fn joined(of: &[Expr], feedback: &FeedbackLookup, by: Operator, of_none: bool) -> Plan {
    of.iter()
        .map(|each| condition(each, feedback))
        .reduce(|left, right| binary_expr(left, by, right))
        .unwrap_or_else(|| lit(of_none))
}

fn operand(of: &Field, feedback: &FeedbackLookup, as_float: bool) -> Plan {
    let value = field(of, feedback);
    if as_float && of.kind() == Kind::Int { cast(value, DataType::Float64) } else { value }
}

#[expect(clippy::cast_precision_loss, reason = "mixed comparisons are made as f64 everywhere")]
fn literal(value: &Value, as_float: bool) -> Plan {
    match value {
        Value::Null => lit(datafusion::scalar::ScalarValue::Null),
        Value::Bool(value) => lit(*value),
        Value::Int(value) if as_float => lit(*value as f64),
        Value::Int(value) => lit(*value),
        Value::Float(value) => lit(*value),
        Value::Text(value) => lit(value.as_str()),
    }
}

const fn operator(op: Op) -> Operator {
    match op {
        Op::Eq => Operator::Eq,
        Op::Ne => Operator::NotEq,
        Op::Lt => Operator::Lt,
        Op::Le => Operator::LtEq,
        Op::Gt => Operator::Gt,
        Op::Ge => Operator::GtEq,
    }
}
