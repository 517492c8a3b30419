//! Masks personal data in messages and answers.

use pelton_pii::{Counts, Kind, scrub};
use serde_json::Value;

/// Fields whose text names things for the protocol, or is no prose.
const UNTOUCHED: [&str; 7] = ["role", "type", "id", "tool_call_id", "url", "data", "format"];

/// Masks every text inside `value` and adds up what was masked.
pub(crate) fn scrub_value(value: &mut Value, kinds: &[Kind], counts: &mut Counts) {
    match value {
        Value::String(text) => scrub_text(text, kinds, counts),
        Value::Array(items) => {
            for item in items {
                scrub_value(item, kinds, counts);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if !UNTOUCHED.contains(&key.as_str()) {
                    scrub_value(field, kinds, counts);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Masks one text.
pub(crate) fn scrub_text(text: &mut String, kinds: &[Kind], counts: &mut Counts) {
    let (clean, found) = scrub(text, kinds);
    if found.total() > 0 {
        *text = clean;
        *counts += found;
    }
}
