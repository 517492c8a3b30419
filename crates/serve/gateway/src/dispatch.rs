//! Attempts until one begins to answer. After the first content nothing is tried again: the caller
//! would get text twice.

use crate::attempt::{self, Begun, Whole};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::plan_retry::{Step, next_step};
use crate::record::{Attempt, OpenRecord};
use crate::refusal::GatewayError;
use crate::render_prompt::render;
use crate::retry_budget::RetryBudget;
use crate::route::Route;
use crate::snapshot::Target;
use bytes::Bytes;
use pelton_egress::Egress;
use pelton_llm_types::{Answer, InferenceRequest};
use tokio::time::{Instant, sleep};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) struct Dispatch<'a> {
    pub(crate) egress: &'a Egress,
    pub(crate) limits: &'a Limits,
    pub(crate) budget: &'a RetryBudget,
    pub(crate) meter: &'a Meter,
    pub(crate) deadline: Instant,
}

/// What the attempts came to.
#[expect(clippy::large_enum_variant, reason = "one at a time, and moved once")]
pub(crate) enum Dispatched {
    Whole { bytes: Bytes, answer: Answer },
    Begun(Begun),
}

impl Dispatch<'_> {
    pub(crate) async fn run(
        &self,
        request: &InferenceRequest,
        route: &Route,
        open: &mut OpenRecord,
    ) -> Result<Dispatched, GatewayError> {
        self.budget.earn();
        let targets = route.targets();
        let seed = open.identity().0.to_string();
        let mut history = Vec::new();
        let mut last = GatewayError::NoTraffic { endpoint: request.model.clone() };
        while let Some((place, target)) = self.next(&history, targets, &seed).await {
            open.asked(target);
            let began = Instant::now();
            let body = render(request, route.release.as_deref(), target);
            let outcome = self.once(request, target, body, open).await;
            let latency_ms = began.elapsed().as_secs_f64() * 1e3;
            let name = target.name.clone();
            match outcome {
                Ok(dispatched) => {
                    self.meter.attempt(&name, "ok");
                    let status = Some(200);
                    open.attempted(Attempt { target: name, status, error: None, latency_ms });
                    return Ok(dispatched);
                }
                Err(failure) => {
                    self.meter.attempt(&name, failure.outcome());
                    let message = failure.message();
                    tracing::warn!(target_name = name, error = message, "an attempt failed");
                    let (status, error) = (failure.status(), Some(message));
                    history.push((place, failure.outlook()));
                    last = failure.refusal(&name);
                    open.attempted(Attempt { target: name, status, error, latency_ms });
                }
            }
        }
        Err(last)
    }

    /// Waits for the next attempt's turn; none when there is nothing left to try.
    async fn next<'t>(
        &self,
        history: &[(usize, crate::failure::Outlook)],
        targets: &'t [Target],
        seed: &str,
    ) -> Option<(usize, &'t Target)> {
        let jitter = jitter(seed, history.len());
        let Limits { retries, max_wait, .. } = *self.limits;
        let step = next_step(history, targets.len(), retries, max_wait, jitter);
        let Step::Try { target, wait } = step else { return None };
        let again = history.iter().any(|&(tried, _)| tried == target);
        if again && (Instant::now() + wait >= self.deadline || !self.budget.spend()) {
            return None;
        }
        sleep(wait).await;
        Some((target, targets.get(target)?))
    }

    async fn once(
        &self,
        request: &InferenceRequest,
        target: &Target,
        body: Bytes,
        open: &mut OpenRecord,
    ) -> Result<Dispatched, Failure> {
        let Self { egress, limits, deadline, .. } = *self;
        if !request.stream {
            let Whole { bytes, answer } =
                attempt::unary(egress, target, request.kind, body, limits, deadline).await?;
            return Ok(Dispatched::Whole { bytes, answer });
        }
        let hide_usage = !request.include_usage;
        let (begun, watch) =
            attempt::streamed(egress, target, request.kind, body, limits, deadline, hide_usage)
                .await?;
        open.begun(watch);
        Ok(Dispatched::Begun(begun))
    }
}

/// In [0, 1), from the call's id, so that calls which failed together do not come back together.
fn jitter(seed: &str, attempts: usize) -> f64 {
    let hash = xxh3_64(format!("{seed}/{attempts}").as_bytes());
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
