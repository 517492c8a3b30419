//! What people, applications and judges say about an inference, often long after it.

use pelton_ids::{FeedbackId, InferenceId, Micros, ProjectId, ReleaseId};
use serde::{Deserialize, Serialize};

/// One judgment of one inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedbackRecord {
    /// Names the record: a second one of the same id is ignored.
    pub id: FeedbackId,
    /// What is judged.
    pub inference_id: InferenceId,
    /// The tenant.
    pub project: ProjectId,
    /// When it arrived.
    pub at: Micros,
    /// The release that answered, copied from the inference so that rollout statistics join nothing.
    pub release_id: Option<ReleaseId>,
    /// From 0 (bad) to 1 (good).
    pub score: Option<f64>,
    /// A class.
    pub label: Option<String>,
    /// What the answer should have been.
    pub correction: Option<String>,
    /// Free text.
    pub comment: Option<String>,
    /// `human`, `application` or `judge`.
    pub source: String,
    /// Who gave it.
    pub by: String,
}

impl FeedbackRecord {
    pub(crate) fn weight(&self) -> usize {
        let text = |field: &Option<String>| field.as_ref().map_or(0, String::len);
        256 + text(&self.label) + text(&self.correction) + text(&self.comment)
    }
}

/// All feedback on one inference, in brief.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FeedbackSummary {
    /// Records.
    pub count: i64,
    /// The mean of their scores; absent where none has one.
    pub score: Option<f64>,
    /// Whether any says what the answer should have been.
    pub has_correction: bool,
}

impl FeedbackSummary {
    /// Sums up the records of one inference.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a FeedbackRecord>) -> Self {
        let (mut summary, mut scores, mut sum) = (Self::default(), 0_u32, 0.0);
        for record in records {
            summary.count += 1;
            summary.has_correction |= record.correction.is_some();
            if let Some(score) = record.score {
                scores += 1;
                sum += score;
            }
        }
        summary.score = (scores > 0).then(|| sum / f64::from(scores));
        summary
    }
}

/// The correction that holds: the latest that was given.
#[must_use]
pub fn latest_correction(records: &[FeedbackRecord]) -> Option<&FeedbackRecord> {
    records
        .iter()
        .filter(|record| record.correction.is_some())
        .max_by_key(|record| (record.at, record.id))
}
