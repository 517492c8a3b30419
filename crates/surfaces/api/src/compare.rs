//! Two stored evaluations side by side.

use crate::error::{ApiError, Code};
use crate::extract::parse;
use crate::manifest;
use crate::routes::evaluations;
use crate::state::Api;
use crate::wire::evaluation as wire_types;
use pelton_context::OpContext;
use pelton_evaluation::{Comparison, SampleResult, compare, read_results};
use pelton_metadata as store;
use pelton_rollout::{GateConfig, GateDecision, Pairing, RegressionPairing, gate};
use serde_json::json;

/// Two evaluations and how they compare.
pub struct Compared {
    /// The one compared with.
    pub baseline: store::Evaluation,
    /// The one judged.
    pub candidate: store::Evaluation,
    /// Their comparison on the items that both have.
    pub comparison: Comparison,
}

/// Reads both and compares them.
///
/// # Errors
/// When one of them does not exist, or they were not made on the same suite.
pub async fn load(
    api: &Api,
    caller: &OpContext,
    baseline: &str,
    candidate: &str,
) -> Result<Compared, ApiError> {
    let baseline = api.store.evaluation_get(caller, parse(baseline)?).await?;
    let candidate = api.store.evaluation_get(caller, parse(candidate)?).await?;
    let comparison = compare(&results(api, &baseline).await?, &results(api, &candidate).await?);
    Ok(Compared { baseline, candidate, comparison })
}

async fn results(api: &Api, evaluation: &store::Evaluation) -> Result<Vec<SampleResult>, ApiError> {
    let text = manifest::read_text(api, evaluation.samples).await?;
    read_results(text.as_bytes()).map_err(|error| {
        tracing::error!(%error, evaluation = %evaluation.id, "stored samples cannot be read");
        ApiError::new(Code::Internal, format!("the samples of {} cannot be read", evaluation.id))
    })
}

/// A comparison as it travels.
pub fn wire(compared: Compared) -> wire_types::Comparison {
    let Compared { baseline, candidate, comparison } = compared;
    let Comparison { n_paired, n_unpaired: _, baseline_correct: _, difference, mcnemar, flips } =
        comparison;
    wire_types::Comparison {
        baseline: evaluations::wire(baseline),
        candidate: evaluations::wire(candidate),
        n_paired,
        difference: json!(difference),
        mcnemar: json!(mcnemar),
        flips: json!(flips),
    }
}

/// The gate's verdict over a task and, where there is one, a regression set.
pub fn decide(
    request: &crate::wire::gate::GateRequest,
    task: &Compared,
    regression: Option<&Compared>,
) -> GateDecision {
    let config = GateConfig { alpha: request.task.alpha, min_gain: request.task.min_gain };
    let regression = regression.zip(request.regression.as_ref()).map(|(compared, rule)| {
        RegressionPairing { pairing: pairing(compared), margin: rule.margin }
    });
    gate(&pairing(task), regression.as_ref(), &config)
}

fn pairing(compared: &Compared) -> Pairing {
    let Comparison { n_paired, baseline_correct, ref mcnemar, .. } = compared.comparison;
    Pairing {
        n: n_paired,
        baseline_correct,
        only_baseline: mcnemar.only_baseline,
        only_candidate: mcnemar.only_candidate,
    }
}
