//! Reads uploaded JSON lines. A broken row is reported with its line and the reason, and does not
//! stop the rest.

use crate::build::BROKEN_LISTED;
use crate::message::check_messages;
use crate::row::{InputRow, Provenance, Split};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, BufRead, Read as _};

/// A row that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenRow {
    /// `line 12`, or the id of a call.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

impl BrokenRow {
    pub(crate) fn of(provenance: &Provenance, reason: String) -> Self {
        let place = match (provenance.line, &provenance.inference_id) {
            (Some(line), _) => format!("line {line}"),
            (None, Some(inference)) => inference.clone(),
            (None, None) => "a row".into(),
        };
        Self { place, reason }
    }
}

/// How much is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of one line.
    pub line_bytes: u64,
    /// Lines in all; what follows is one more broken row that says so.
    pub rows: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { line_bytes: 4 << 20, rows: 2_000_000 }
    }
}

/// What a file held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOutcome {
    /// The usable rows.
    pub rows: Vec<InputRow>,
    /// The first 100 broken ones.
    pub broken: Vec<BrokenRow>,
    /// How many were broken.
    pub broken_total: u64,
}

impl ReadOutcome {
    fn report(&mut self, line: u64, reason: impl Into<String>) {
        self.broken_total += 1;
        if self.broken.len() < BROKEN_LISTED {
            self.broken.push(BrokenRow { place: format!("line {line}"), reason: reason.into() });
        }
    }
}

/// A line as uploaded. Fields that Pelton does not know are ignored.
#[derive(Deserialize)]
struct Line {
    messages: Vec<Value>,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    correction: Option<String>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    split: Option<Split>,
}

/// Reads rows `{"messages": […], "answer": "…", "label": null | "…", "split": null | "train" |
/// "validation" | "test"}`. Without `answer`, a last message of the assistant is the answer, as in
/// OpenAI's fine-tuning files. Empty lines are passed over.
///
/// # Errors
/// Only when `from` cannot be read.
pub fn read_rows(mut from: impl BufRead, limits: ReadLimits) -> io::Result<ReadOutcome> {
    let mut outcome = ReadOutcome::default();
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        let read = from.by_ref().take(limits.line_bytes + 1).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(outcome);
        }
        line += 1;
        if line > limits.rows {
            outcome.report(line, format!("more than {} lines: the rest is not read", limits.rows));
            return Ok(outcome);
        }
        if read as u64 > limits.line_bytes && bytes.last() != Some(&b'\n') {
            outcome.report(line, format!("longer than {} bytes", limits.line_bytes));
            skip_line(&mut from)?;
            continue;
        }
        // Editors on Windows begin a file with a byte-order mark.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii_end();
        if text.is_empty() {
            continue;
        }
        match parse(text, line) {
            Ok(row) => outcome.rows.push(row),
            Err(reason) => outcome.report(line, reason),
        }
    }
}

/// Reads on to the next line's start without keeping anything.
fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        if held.is_empty() {
            return Ok(());
        }
        if let Some(end) = held.iter().position(|&byte| byte == b'\n') {
            from.consume(end + 1);
            return Ok(());
        }
        let all = held.len();
        from.consume(all);
    }
}

fn parse(bytes: &[u8], line: u64) -> Result<InputRow, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))?;
    let parsed: Line = serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        format!("{said}, at column {}", error.column())
    })?;
    let Line { mut messages, mut answer, correction, score, label, split } = parsed;
    if answer.is_none()
        && let Some(last) = messages.last()
        && last.get("role").and_then(Value::as_str) == Some("assistant")
        && let Some(content) = last.get("content").and_then(Value::as_str)
    {
        answer = Some(content.to_owned());
        messages.pop();
    }
    check_messages(&messages)?;
    let answer = answer
        .or_else(|| correction.clone())
        .ok_or("no `answer`: give one, or end `messages` with the assistant's message")?;
    if answer.trim().is_empty() && correction.is_none() {
        return Err("the answer is empty".into());
    }
    if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
        return Err("`score` should lie within 0 and 1".into());
    }
    Ok(InputRow {
        messages,
        answer,
        correction,
        score,
        label,
        split,
        provenance: Provenance::upload(line),
    })
}
