//! Aligned tables and fields from JSON.

use serde_json::Value;
use std::fmt::Write as _;

/// Letters of a cell at most.
const WIDEST: usize = 60;

/// A column: its title, and how a cell is made from an item.
pub(crate) struct Column {
    title: &'static str,
    cell: fn(&Value) -> String,
    /// Whether cells are numbers, which stand to the right.
    number: bool,
}

impl Column {
    /// Text, to the left.
    pub(crate) const fn text(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { title, cell, number: false }
    }

    /// Numbers, to the right.
    pub(crate) const fn number(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { title, cell, number: true }
    }
}

/// A JSON value as people write it: text without quotes, nothing as a dash.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => trimmed(float),
            _ => number.to_string(),
        },
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other @ Value::Object(_) => other.to_string(),
    }
}

fn trimmed(float: f64) -> String {
    if float != 0.0 && float.abs() < 1e-3 {
        return format!("{float:.1e}");
    }
    let text = format!("{float:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share as a percentage.
pub(crate) fn percent(value: &Value) -> String {
    value.as_f64().map_or("-".into(), |share| format!("{:.1} %", share * 100.0))
}

/// `{value, low, high}` as a percentage with its interval.
pub(crate) fn interval(value: &Value) -> String {
    let at = |name: &str| value[name].as_f64();
    match (at("value"), at("low"), at("high")) {
        (Some(value), Some(low), Some(high)) => {
            format!("{:.1} % ({:.1} to {:.1})", value * 100.0, low * 100.0, high * 100.0)
        }
        _ => "-".into(),
    }
}

/// An instant to the second, without the date's separators being lost.
pub(crate) fn instant(value: &Value) -> String {
    match value.as_str() {
        Some(text) if text.len() >= 19 => {
            text.chars().take(19).collect::<String>().replace('T', " ")
        }
        _ => plain(value),
    }
}

/// Milliseconds.
pub(crate) fn millis(value: &Value) -> String {
    value.as_f64().map_or("-".into(), |ms| format!("{ms:.0} ms"))
}

/// One line, cut where it is too long.
fn cut(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WIDEST {
        return line;
    }
    let mut short: String = line.chars().take(WIDEST - 1).collect();
    short.push('…');
    short
}

/// Items as an aligned table.
pub(crate) fn table(items: &[Value], columns: &[Column]) -> String {
    let mut rows: Vec<Vec<String>> =
        vec![columns.iter().map(|column| column.title.to_uppercase()).collect()];
    rows.extend(
        items.iter().map(|item| columns.iter().map(|column| cut(&(column.cell)(item))).collect()),
    );
    let width = |place: usize| {
        rows.iter()
            .filter_map(|row| row.get(place))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(&widths).zip(columns) {
            let pad = " ".repeat(width - cell.chars().count());
            let _ok = if column.number {
                write!(line, "{pad}{cell}  ")
            } else {
                write!(line, "{cell}{pad}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One thing as lines of names and values.
pub(crate) fn fields(thing: &Value, columns: &[Column]) -> String {
    let width = columns.iter().map(|column| column.title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for column in columns {
        let _ok = writeln!(text, "{:width$}  {}", column.title, (column.cell)(thing));
    }
    text
}
