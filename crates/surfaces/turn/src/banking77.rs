//! The published banking77 files (`text,category` CSV with a train and a test split) as questions and answers.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

/// What the model is told to do; the labels are learned, not listed.
pub const SYSTEM: &str = "Banking intent?";

/// One customer query with its intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// What the customer wrote.
    pub text: String,
    /// The name of the intent.
    pub intent: String,
}

/// Both published splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banking77 {
    /// 10,003 queries.
    pub train: Vec<Query>,
    /// 3,080 queries.
    pub test: Vec<Query>,
}

/// Reads `train.csv` and `test.csv` in `folder`.
///
/// # Errors
/// Where a file is missing or is not such a CSV, with its path and line.
pub fn read(folder: &Path) -> anyhow::Result<Banking77> {
    let split = |name: &str| -> anyhow::Result<Vec<Query>> {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; it is part of the banking77 release", path.display())
        })?;
        parse(&text).with_context(|| format!("{} is not a text,category CSV", path.display()))
    };
    Ok(Banking77 { train: split("train.csv")?, test: split("test.csv")? })
}

/// The different intents of `queries`, in alphabetical order.
#[must_use]
pub fn intents(queries: &[Query]) -> Vec<String> {
    let mut names: Vec<String> = queries.iter().map(|query| query.intent.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn parse(text: &str) -> anyhow::Result<Vec<Query>> {
    let mut records = records(text)?.into_iter();
    if records.next() != Some(vec!["text".to_owned(), "category".to_owned()]) {
        bail!("the first line must be text,category");
    }
    records
        .enumerate()
        .map(|(at, record)| match <[String; 2]>::try_from(record) {
            Ok([text, intent]) if !intent.is_empty() => {
                Ok(Query { text: text.trim().to_owned(), intent })
            }
            _ => bail!("record {} does not have a text and a category", at + 1),
        })
        .collect()
}

/// The records of a CSV with RFC 4180 quoting: line breaks and doubled quotes may stand in quotes.
fn records(text: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                field.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(letter),
        }
    }
    if quoted {
        bail!("a quote is not closed");
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_line_breaks_stay_in_the_text() {
        let queries = parse("text,category\nHow?,a_b\n\"Hi, \"\"you\"\"\nthere\",c\n").unwrap();
        assert_eq!(
            queries,
            [
                Query { text: "How?".into(), intent: "a_b".into() },
                Query { text: "Hi, \"you\"\nthere".into(), intent: "c".into() },
            ]
        );
        assert_eq!(intents(&queries), ["a_b", "c"]);
    }

    #[test]
    fn broken_files_are_refused_with_a_reason() {
        for (text, reason) in [
            ("text,label\n", "the first line must be text,category"),
            ("text,category\nonly one field\n", "record 1 does not have a text and a category"),
            ("text,category\n\"open,x\n", "a quote is not closed"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), reason);
        }
    }
}
