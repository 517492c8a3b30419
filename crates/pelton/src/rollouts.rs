//! Drives rollouts: observes, asks the state machine, and stores its decision. Takes no input; it
//! runs on a timer, and a step that was taken by somebody else meanwhile is taken anew.

use pelton_context::OpContext;
use pelton_ids::ReleaseId;
use pelton_metadata::{self as store, Rollout, RolloutUpdate, Store, StoreError};
use pelton_rollout::{
    Arm, Decision, Observed, RolloutConfig, RolloutPhase, RolloutState, Step, step,
};
use pelton_trace_store::{ReleaseStats, TraceStore};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How often running rollouts are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Drives every running rollout, for good.
pub async fn drive(metadata: Store, traces: Arc<TraceStore>, context: OpContext) {
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let running = match metadata.rollout_list_running_all(&context).await {
            Ok(running) => running,
            Err(error) => {
                tracing::error!(%error, "the running rollouts cannot be read");
                continue;
            }
        };
        for rollout in running {
            let (id, endpoint) = (rollout.id, rollout.endpoint.clone());
            if let Err(error) = take_step(&metadata, &traces, rollout).await {
                tracing::error!(%id, %endpoint, error = format!("{error:#}"), "a rollout stands still");
            }
        }
    }
}

async fn take_step(metadata: &Store, traces: &TraceStore, rollout: Rollout) -> anyhow::Result<()> {
    let context = OpContext::system(rollout.project);
    let stats = traces.release_stats(rollout.project, rollout.started_at).await?;
    let observed = Observed {
        baseline: arm(&stats, rollout.baseline),
        candidate: arm(&stats, rollout.candidate),
    };
    let state: RolloutState = serde_json::from_value(rollout.machine.clone())?;
    let Step { state, actions: _, decision } =
        step(&config(&rollout), &state, &observed, metadata.now());
    let Some(decision) = decision else { return Ok(()) };
    tracing::info!(
        endpoint = %rollout.endpoint,
        candidate = %rollout.candidate_name,
        action = ?decision.action,
        reason = %decision.reason,
        "rollout"
    );
    let update = RolloutUpdate {
        state: match state.phase {
            RolloutPhase::Running => store::RolloutState::Running,
            RolloutPhase::Promoted => store::RolloutState::Promoted,
            RolloutPhase::RolledBack => store::RolloutState::RolledBack,
            RolloutPhase::Cancelled => store::RolloutState::Cancelled,
        },
        stage: u32::try_from(state.stage)?,
        weight: state.weight,
        machine: json!(state),
        decision: Some(stored(decision)?),
    };
    match metadata.rollout_update(&context, rollout.id, rollout.revision, update).await {
        // Somebody else moved it: the next look sees how.
        Err(StoreError::Stale { .. } | StoreError::Conflict { .. }) => Ok(()),
        moved => Ok(moved.map(drop)?),
    }
}

fn stored(decision: Decision) -> anyhow::Result<store::NewDecision> {
    let Decision { at: _, action, reason, stage, observed } = decision;
    Ok(store::NewDecision {
        action: json!(action).as_str().unwrap_or_default().to_owned(),
        reason,
        stage: u32::try_from(stage)?,
        observed: json!(observed),
    })
}

fn config(rollout: &Rollout) -> RolloutConfig {
    RolloutConfig {
        stages: rollout.stages.clone(),
        min_requests_per_stage: rollout.policy.min_requests_per_stage,
        max_error_rate_increase: rollout.policy.max_error_rate_increase,
        max_feedback_drop: rollout.policy.max_feedback_drop,
        min_feedback: rollout.policy.min_feedback,
        ..RolloutConfig::default()
    }
}

fn arm(stats: &[ReleaseStats], release: ReleaseId) -> Arm {
    stats.iter().find(|one| one.release_id == Some(release)).map_or_else(Arm::default, |found| {
        let ReleaseStats { release_id: _, requests, errors, scores, score_mean } = found;
        Arm { requests: *requests, errors: *errors, scores: *scores, score_mean: *score_mean }
    })
}
