//! Takes corrections over answers, and tells judged rows from others.

use crate::config::BuildConfig;
use crate::row::InputRow;

/// How well a row is judged, best first; ties keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judgment {
    /// Somebody wrote the right answer.
    Corrected,
    /// Somebody scored the answer above one half.
    Approved,
    /// Nobody said anything, or nothing good.
    Unjudged,
}

pub(crate) fn judgment(row: &InputRow) -> Judgment {
    if row.correction.is_some() {
        Judgment::Corrected
    } else if row.score.is_some_and(|score| score > 0.5) {
        Judgment::Approved
    } else {
        Judgment::Unjudged
    }
}

/// The wanted answer: the correction, where corrections count and there is one.
pub(crate) fn wanted_answer<'a>(row: &'a InputRow, config: &BuildConfig) -> &'a str {
    match &row.correction {
        Some(correction) if config.use_corrections => correction,
        _ => &row.answer,
    }
}
