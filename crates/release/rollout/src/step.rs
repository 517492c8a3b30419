//! One step of a rollout: `(state, observed, now) -> (state, actions)`.

use crate::config::{ConfigError, RolloutConfig};
use crate::guard::{Guard, guard};
use crate::observed::Observed;
use crate::state::{Action, Decision, DecisionAction, RolloutPhase, RolloutState};
use pelton_ids::Micros;

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state from now on.
    pub state: RolloutState,
    /// What to do to the endpoint.
    pub actions: Vec<Action>,
    /// What to log; nothing when the rollout holds for the same reason as before.
    pub decision: Option<Decision>,
}

/// Begins a rollout.
///
/// # Errors
/// When the settings make no sense.
pub fn start(config: &RolloutConfig, now: Micros) -> Result<Step, ConfigError> {
    config.check()?;
    let weight = config.stages.first().copied().unwrap_or(100);
    let state = RolloutState {
        phase: RolloutPhase::Running,
        stage: 0,
        weight,
        requests_at_stage_start: 0,
        holding: None,
        reason: None,
    };
    let decision = Decision {
        at: now,
        action: DecisionAction::Start,
        reason: format!("the candidate gets {weight} % of the traffic"),
        stage: 0,
        observed: Observed::default(),
    };
    Ok(Step { state, actions: vec![Action::SetWeight(weight)], decision: Some(decision) })
}

/// Looks at what was observed since the start and decides.
#[must_use]
pub fn step(
    config: &RolloutConfig,
    state: &RolloutState,
    observed: &Observed,
    now: Micros,
) -> Step {
    if state.phase != RolloutPhase::Running {
        return Step { state: state.clone(), actions: Vec::new(), decision: None };
    }
    let turn = Turn { state, observed, now };
    let alarms = guard(config, observed);
    if let Some(alarm) = alarms.iter().find(|alarm| alarm.certain) {
        return turn.end(RolloutPhase::RolledBack, alarm.detail.clone());
    }
    let in_stage = observed.candidate.requests.saturating_sub(state.requests_at_stage_start);
    if in_stage < config.min_requests_per_stage {
        return turn.hold(format!(
            "the candidate has to answer {} requests in this stage",
            config.min_requests_per_stage
        ));
    }
    let scores = observed.candidate.scores.min(observed.baseline.scores);
    if scores < config.min_feedback {
        return turn.hold(format!(
            "both releases need {} feedback scores; start with min_feedback 0 to go on without",
            config.min_feedback
        ));
    }
    if let Some(alarm) = alarms.first() {
        return turn.hold(match alarm.guard {
            Guard::Errors => {
                "the candidate fails more often than allowed, but it may be chance".into()
            }
            Guard::Feedback => {
                "the candidate is scored lower than allowed, but it may be chance".into()
            }
        });
    }
    match config.stages.get(state.stage + 1) {
        Some(&weight) => turn.advance(weight),
        None => turn.end(RolloutPhase::Promoted, "the last stage passed: no guard objects".into()),
    }
}

/// Promotes at a person's word.
#[must_use]
pub fn promote_now(state: &RolloutState, by: &str, observed: &Observed, now: Micros) -> Step {
    ended_by_hand(state, RolloutPhase::Promoted, format!("promoted by {by}"), observed, now)
}

/// Rolls back at a person's word.
#[must_use]
pub fn roll_back_now(state: &RolloutState, by: &str, observed: &Observed, now: Micros) -> Step {
    ended_by_hand(state, RolloutPhase::RolledBack, format!("rolled back by {by}"), observed, now)
}

/// Ends a rollout whose endpoint was changed otherwise; traffic stays as it is.
#[must_use]
pub fn cancel(state: &RolloutState, reason: &str, observed: &Observed, now: Micros) -> Step {
    ended_by_hand(state, RolloutPhase::Cancelled, reason.to_owned(), observed, now)
}

fn ended_by_hand(
    state: &RolloutState,
    phase: RolloutPhase,
    reason: String,
    observed: &Observed,
    now: Micros,
) -> Step {
    if state.phase != RolloutPhase::Running {
        return Step { state: state.clone(), actions: Vec::new(), decision: None };
    }
    Turn { state, observed, now }.end(phase, reason)
}

struct Turn<'a> {
    state: &'a RolloutState,
    observed: &'a Observed,
    now: Micros,
}

impl Turn<'_> {
    fn decision(&self, action: DecisionAction, reason: String) -> Option<Decision> {
        let stage = self.state.stage;
        Some(Decision { at: self.now, action, reason, stage, observed: *self.observed })
    }

    fn hold(&self, reason: String) -> Step {
        if self.state.holding.as_ref() == Some(&reason) {
            return Step { state: self.state.clone(), actions: Vec::new(), decision: None };
        }
        let state = RolloutState { holding: Some(reason.clone()), ..self.state.clone() };
        let decision = self.decision(DecisionAction::Hold, reason);
        Step { state, actions: Vec::new(), decision }
    }

    fn advance(&self, weight: u32) -> Step {
        let state = RolloutState {
            stage: self.state.stage + 1,
            weight,
            requests_at_stage_start: self.observed.candidate.requests,
            holding: None,
            ..self.state.clone()
        };
        let reason = format!("no guard objects: the candidate gets {weight} % of the traffic");
        let decision = self.decision(DecisionAction::Advance, reason);
        Step { state, actions: vec![Action::SetWeight(weight)], decision }
    }

    fn end(&self, phase: RolloutPhase, reason: String) -> Step {
        let (action, actions, weight) = match phase {
            RolloutPhase::Promoted => (DecisionAction::Promote, vec![Action::Promote], 100),
            RolloutPhase::RolledBack => (DecisionAction::RollBack, vec![Action::RollBack], 0),
            RolloutPhase::Cancelled | RolloutPhase::Running => {
                (DecisionAction::Cancel, Vec::new(), self.state.weight)
            }
        };
        let state = RolloutState {
            phase,
            weight,
            holding: None,
            reason: Some(reason.clone()),
            ..self.state.clone()
        };
        let decision = self.decision(action, reason);
        Step { state, actions, decision }
    }
}
