//! Feedback figures as functions of an inference's id, for one query.
//!
//! Feedback is far smaller than traffic: it is read once, summed up by inference, and looked up.

use crate::error::Result;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::logical_expr::{ColumnarValue, Expr as Plan, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::col;
use pelton_ids::{InferenceId, Micros, ProjectId};
use pelton_trace_store::{FeedbackRecord, FeedbackSummary, Field, View};
use std::collections::HashMap;
use std::sync::Arc;

/// Clocks may have been set back between a call and its feedback by at most this.
const SLACK_MICROS: i64 = 3_600_000_000;

/// The feedback of a project, summed up by inference.
#[derive(Debug, Clone, Default)]
pub(crate) struct FeedbackLookup(pub(crate) Arc<HashMap<InferenceId, FeedbackSummary>>);

/// Sums up feedback by inference.
pub(crate) fn by_inference(records: &[FeedbackRecord]) -> HashMap<InferenceId, FeedbackSummary> {
    let mut grouped: HashMap<InferenceId, Vec<&FeedbackRecord>> = HashMap::new();
    for record in records {
        grouped.entry(record.inference_id).or_default().push(record);
    }
    let sum_up = |(id, records): (_, Vec<&FeedbackRecord>)| (id, FeedbackSummary::of(records));
    grouped.into_iter().map(sum_up).collect()
}

impl FeedbackLookup {
    /// Reads the feedback on calls that started at `since` or later: it came after them.
    pub(crate) async fn load(
        view: &View,
        project: ProjectId,
        since: Option<Micros>,
    ) -> Result<Self> {
        let since = since.map(|since| since.plus(-SLACK_MICROS));
        let records = view.feedback_since(project, since).await?;
        Ok(Self(Arc::new(by_inference(&records))))
    }

    fn function(
        &self,
        name: &str,
        returns: DataType,
        gather: impl Fn(&mut dyn Iterator<Item = FeedbackSummary>) -> ArrayRef + Send + Sync + 'static,
    ) -> Plan {
        let map = Arc::clone(&self.0);
        let body = move |arguments: &[ColumnarValue]| {
            let [ids] = ColumnarValue::values_to_arrays(arguments)?
                .try_into()
                .map_err(|_| datafusion::error::DataFusionError::Internal("one argument".into()))?;
            let ids: ArrayRef = ids;
            let Some(ids) = ids.as_string_opt::<i32>() else {
                return exec_err!("an inference id is text, not {}", ids.data_type());
            };
            let look_up = |id: Option<&str>| {
                id.and_then(|id| id.parse().ok())
                    .and_then(|id: InferenceId| map.get(&id).copied())
                    .unwrap_or_default()
            };
            Ok(ColumnarValue::Array(gather(&mut ids.iter().map(look_up))))
        };
        let arguments = vec![DataType::Utf8];
        let function: ScalarUDF =
            create_udf(name, arguments, returns, Volatility::Immutable, Arc::new(body));
        function.call(vec![col("id")])
    }

    /// The figure `field` of the feedback on a row; absent for other fields.
    pub(crate) fn figure(&self, field: &Field) -> Option<Plan> {
        match field {
            Field::FeedbackCount => {
                Some(self.function("feedback_count", DataType::Int64, |found| {
                    Arc::new(found.map(|summary| summary.count).collect::<Int64Array>())
                }))
            }
            Field::Score => Some(self.function("feedback_score", DataType::Float64, |found| {
                Arc::new(found.map(|summary| summary.score).collect::<Float64Array>())
            })),
            Field::HasCorrection => {
                Some(self.function("has_correction", DataType::Boolean, |found| {
                    let flags = found.map(|summary| Some(summary.has_correction));
                    Arc::new(flags.collect::<BooleanArray>())
                }))
            }
            _ => None,
        }
    }
}
