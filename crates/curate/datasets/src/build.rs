//! The build: the stages in their order.

use crate::canonical::row_hash;
use crate::card::card;
use crate::config::BuildConfig;
use crate::deduplicate::{drop_exact, drop_near};
use crate::describe::{SplitSizes, Statistics, describe, sizes};
use crate::judge::{Judgment, judgment, wanted_answer};
use crate::message::check_messages;
use crate::read_rows::BrokenRow;
use crate::row::{DatasetRow, Dropped, InputRow, Provenance, Split};
use crate::scrub_rows::{scrub_text, scrub_value};
use crate::split_rows::assign;
use crate::write_rows::rows_digest;
use pelton_ids::Digest;
use pelton_pii::Counts;
use serde_json::Value;

/// Broken rows that a build lists; all are counted.
pub(crate) const BROKEN_LISTED: usize = 100;

/// Why there is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The settings make no sense.
    #[error("{0}")]
    Config(String),
    /// No row is left.
    #[error(
        "no row is left of {inputs}: {exact_duplicate} repeated an input, {near_duplicate} nearly \
         repeated one, {unjudged} were neither corrected nor approved, {invalid} could not be used{first}"
    )]
    Empty {
        /// Rows that came in.
        inputs: u64,
        /// Rows with the same input as another.
        exact_duplicate: u64,
        /// Rows nearly the same as another.
        near_duplicate: u64,
        /// Rows without judgment.
        unjudged: u64,
        /// Rows that could not be used.
        invalid: u64,
        /// The first of those, as text, or nothing.
        first: String,
    },
}

/// A version, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetBuild {
    /// The rows, in the order in which they came in.
    pub rows: Vec<DatasetRow>,
    /// Rows per split.
    pub sizes: SplitSizes,
    /// Rows left out, by reason.
    pub dropped: Dropped,
    /// Values masked in kept rows.
    pub scrubbed: Counts,
    /// The version in numbers.
    pub statistics: Statistics,
    /// The first rows that could not be used, at most 100.
    pub broken: Vec<BrokenRow>,
    /// Of the canonical JSON lines.
    pub digest: Digest,
    /// The card, in Markdown.
    pub card: String,
}

/// A row on its way through the stages.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) messages: Vec<Value>,
    pub(crate) answer: String,
    pub(crate) label: Option<String>,
    pub(crate) given_split: Split,
    pub(crate) judgment: Judgment,
    pub(crate) provenance: Provenance,
    pub(crate) masked: Counts,
}

/// Builds version `name` from rows and from those that a reader already found broken (`broken`, of
/// `broken_total` in all). `source` says in words where they come from.
///
/// # Errors
/// [`BuildError`] when the settings are wrong or no row is left.
pub fn build(
    name: &str,
    source: &str,
    inputs: Vec<InputRow>,
    broken: Vec<BrokenRow>,
    broken_total: u64,
    config: &BuildConfig,
) -> Result<DatasetBuild, BuildError> {
    config.check().map_err(BuildError::Config)?;
    let came_in = inputs.len() as u64 + broken_total;
    let mut dropped = Dropped { invalid: broken_total, ..Dropped::default() };
    let mut broken = broken;
    let mut candidates = Vec::with_capacity(inputs.len());
    for row in inputs {
        if let Err(reason) = check(&row, config) {
            dropped.invalid += 1;
            broken.push(BrokenRow::of(&row.provenance, reason));
        } else if config.only_judged && judgment(&row) == Judgment::Unjudged {
            dropped.unjudged += 1;
        } else {
            candidates.push(scrubbed(row, config));
        }
    }
    broken.truncate(BROKEN_LISTED);
    if config.exact_dedup {
        candidates = drop_exact(candidates, &mut dropped);
    }
    let grouped = drop_near(candidates, config.near_dedup, &mut dropped);
    if grouped.is_empty() {
        return Err(empty(came_in, dropped, &broken));
    }
    let splits = match &config.split {
        Some(split) => assign(&grouped, split),
        None => grouped.iter().map(|(_, row)| row.given_split).collect(),
    };
    let groups: Vec<usize> = grouped.iter().map(|(group, _)| *group).collect();
    let mut masked = Counts::default();
    let rows: Vec<DatasetRow> = grouped
        .into_iter()
        .zip(splits)
        .enumerate()
        .map(|(index, ((_, row), split))| {
            masked += row.masked;
            DatasetRow {
                index: index as u64,
                split,
                hash: row_hash(&row.messages, &row.answer),
                messages: row.messages,
                answer: row.answer,
                label: row.label,
                provenance: row.provenance,
            }
        })
        .collect();
    let mut build = DatasetBuild {
        sizes: sizes(&rows),
        dropped,
        scrubbed: masked,
        statistics: describe(&rows, &groups),
        broken,
        digest: rows_digest(&rows),
        card: String::new(),
        rows,
    };
    build.card = card(name, source, came_in, config, &build);
    Ok(build)
}

fn empty(inputs: u64, dropped: Dropped, broken: &[BrokenRow]) -> BuildError {
    let Dropped { exact_duplicate, near_duplicate, unjudged, invalid } = dropped;
    let first = broken
        .first()
        .map(|row| format!(" (the first: {}: {})", row.place, row.reason))
        .unwrap_or_default();
    BuildError::Empty { inputs, exact_duplicate, near_duplicate, unjudged, invalid, first }
}

fn check(row: &InputRow, config: &BuildConfig) -> Result<(), String> {
    check_messages(&row.messages)?;
    if wanted_answer(row, config).trim().is_empty() {
        return Err("the answer is empty".into());
    }
    Ok(())
}

fn scrubbed(row: InputRow, config: &BuildConfig) -> Candidate {
    let judgment = judgment(&row);
    let mut answer = wanted_answer(&row, config).to_owned();
    let InputRow { mut messages, answer: _, correction: _, score: _, label, split, provenance } =
        row;
    let mut masked = Counts::default();
    if !config.scrub.is_empty() {
        for message in &mut messages {
            scrub_value(message, &config.scrub, &mut masked);
        }
        scrub_text(&mut answer, &config.scrub, &mut masked);
    }
    let given_split = split.unwrap_or(Split::Train);
    Candidate { messages, answer, label, given_split, judgment, provenance, masked }
}
