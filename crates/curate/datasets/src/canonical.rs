//! One spelling for equal JSON, so that equal content has equal hashes.

use pelton_ids::Digest;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// JSON with sorted keys and no white space.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push('{');
            for (place, key) in keys.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let _infallible = write!(out, "{}:", Value::from(key.as_str()));
                write_canonical(fields.get(key).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        plain => {
            let _infallible = write!(out, "{plain}");
        }
    }
}

/// The hash that names a row: `sha256:…` of the canonical JSON of its messages and answer.
#[must_use]
pub fn row_hash(messages: &[Value], answer: &str) -> String {
    let content = json!({ "answer": answer, "messages": messages });
    Digest::of(canonical_json(&content).as_bytes()).to_string()
}
