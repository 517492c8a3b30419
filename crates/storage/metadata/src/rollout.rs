//! Rollouts: staged changes from one release to another, with every decision and its reason.
//!
//! A change of a rollout's state, of its endpoint's traffic and of its log is one transaction.

use crate::connection::Tx;
use crate::endpoint::{self, Endpoint, Origin, TrafficShare};
use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, values};
use crate::store::{Audit, Mutation, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{EndpointId, GateId, Micros, ProjectId, ReleaseId, RolloutId};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt;
use std::str::FromStr;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Traffic is split.
    Running,
    /// The candidate has all traffic.
    Promoted,
    /// The baseline has all traffic again.
    RolledBack,
    /// Ended without a verdict.
    Cancelled,
}

impl fmt::Display for RolloutState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Running => "running",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        })
    }
}

impl FromStr for RolloutState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "running" => Self::Running,
            "promoted" => Self::Promoted,
            "rolled_back" => Self::RolledBack,
            "cancelled" => Self::Cancelled,
            _ => return Err("not a rollout state"),
        })
    }
}

/// When a rollout moves on and when it turns back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutPolicy {
    /// Requests to the candidate before a stage may end.
    pub min_requests_per_stage: u64,
    /// How much higher the candidate's error rate may be, as a share.
    pub max_error_rate_increase: f64,
    /// How much lower the candidate's mean feedback score may be.
    pub max_feedback_drop: f64,
    /// Scores needed before feedback is judged.
    pub min_feedback: u64,
}

/// One decision of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its place in the log, from 1.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// `start`, `advance`, `hold`, `promote`, `roll_back` or `cancel`.
    pub action: String,
    /// Why, with the numbers.
    pub reason: String,
    /// The stage decided on.
    pub stage: u32,
    /// What was observed.
    pub observed: Json,
}

/// A decision to be logged.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDecision {
    /// As [`Decision::action`].
    pub action: String,
    /// Why.
    pub reason: String,
    /// The stage decided on.
    pub stage: u32,
    /// What was observed.
    pub observed: Json,
}

/// A staged change of an endpoint from one release to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollout {
    /// Names the rollout.
    pub id: RolloutId,
    /// The project, for the loop that drives every project's rollouts.
    pub project: ProjectId,
    /// The endpoint's id.
    pub endpoint_id: EndpointId,
    /// The endpoint's name.
    pub endpoint: String,
    /// What answered before.
    pub baseline: ReleaseId,
    /// Its name.
    pub baseline_name: String,
    /// What shall answer.
    pub candidate: ReleaseId,
    /// Its name.
    pub candidate_name: String,
    /// Where it stands.
    pub state: RolloutState,
    /// The present stage, from 0.
    pub stage: u32,
    /// The candidate's per cent at each stage.
    pub stages: Vec<u32>,
    /// The candidate's present per cent.
    pub weight: u32,
    /// When it moves on or turns back.
    pub policy: RolloutPolicy,
    /// What the state machine remembers; opaque here.
    pub machine: Json,
    /// The decision that speaks for the candidate.
    pub gate: Option<GateId>,
    /// Why a gate that was not passed is overridden.
    pub override_gate: Option<String>,
    /// Who answered before it began.
    pub baseline_traffic: Vec<TrafficShare>,
    /// The last decision's reason.
    pub reason: Option<String>,
    /// Grows with every change; a change names the one it has seen.
    pub revision: i64,
    /// When it began.
    pub started_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

/// A rollout to be started. The endpoint's present traffic must be one release: the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRollout {
    /// The endpoint's name.
    pub endpoint: String,
    /// What shall answer.
    pub candidate: ReleaseId,
    /// The candidate's per cent at each stage, rising to 100.
    pub stages: Vec<u32>,
    /// When it moves on or turns back.
    pub policy: RolloutPolicy,
    /// What the state machine remembers.
    pub machine: Json,
    /// The decision that speaks for the candidate.
    pub gate: Option<GateId>,
    /// Why a gate that was not passed is overridden.
    pub override_gate: Option<String>,
    /// The first entry of the log.
    pub decision: NewDecision,
}

/// The next state of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutUpdate {
    /// Where it stands.
    pub state: RolloutState,
    /// The stage.
    pub stage: u32,
    /// The candidate's per cent: the endpoint's traffic follows when it differs.
    pub weight: u32,
    /// What the state machine remembers.
    pub machine: Json,
    /// What to log; nothing when only the machine's memory changed.
    pub decision: Option<NewDecision>,
}

/// Names are joined in, so that nobody looks them up one by one.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.*, e.name AS endpoint_name, b.name AS baseline_name, c.name AS candidate_name
             FROM rollouts r JOIN endpoints e ON e.id = r.endpoint_id
             JOIN releases b ON b.id = r.baseline_id JOIN releases c ON c.id = r.candidate_id ",
            $rest
        )
    };
}

fn rollout(row: &Row) -> Result<Rollout> {
    Ok(Rollout {
        id: row.parse("id")?,
        project: row.parse("project_id")?,
        endpoint_id: row.parse("endpoint_id")?,
        endpoint: row.text("endpoint_name")?,
        baseline: row.parse("baseline_id")?,
        baseline_name: row.text("baseline_name")?,
        candidate: row.parse("candidate_id")?,
        candidate_name: row.text("candidate_name")?,
        state: row.parse("state")?,
        stage: row.count("stage")?,
        stages: row.json("stages")?,
        weight: row.count("weight")?,
        policy: row.json("policy")?,
        machine: row.json("machine")?,
        gate: row.parse_or_null("gate_id")?,
        override_gate: row.text_or_null("override_gate")?,
        baseline_traffic: row.json("baseline_traffic")?,
        reason: row.text_or_null("reason")?,
        revision: row.int("revision")?,
        started_at: row.at("created_at")?,
        ended_at: row.at_or_null("ended_at")?,
    })
}

fn decision(row: &Row) -> Result<Decision> {
    Ok(Decision {
        seq: row.int("seq")?,
        at: row.at("created_at")?,
        action: row.text("action")?,
        reason: row.text("reason")?,
        stage: row.count("stage")?,
        observed: row.json("observed")?,
    })
}

/// The split at which the candidate has `weight` per cent.
fn split(baseline: ReleaseId, candidate: ReleaseId, weight: u32) -> Vec<TrafficShare> {
    [(baseline, 100_u32.saturating_sub(weight)), (candidate, weight)]
        .into_iter()
        .filter(|&(_, weight)| weight > 0)
        .map(|(release_id, weight)| TrafficShare { release_id, weight })
        .collect()
}

fn check_stages(stages: &[u32]) -> Result<()> {
    let rising = stages.windows(2).all(|pair| pair.first() < pair.last());
    if rising && stages.first().is_some_and(|&first| first > 0) && stages.last() == Some(&100) {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "the stages must rise from above 0 to 100, such as [10, 50, 100]".into(),
    ))
}

/// Traffic of an endpoint under a rollout moves by the rollout only.
pub(crate) async fn refuse_while_running(tx: &mut Tx, endpoint: &Endpoint) -> Result<()> {
    let sql = "SELECT id FROM rollouts WHERE endpoint_id = $1 AND state = 'running'";
    match tx.row(sql, values![endpoint.id]).await? {
        None => Ok(()),
        Some(row) => {
            let id = row.text("id")?;
            let reason = format!("rollout {id} is running: promote it or roll it back first");
            Err(StoreError::conflict("endpoint", &endpoint.name, reason))
        }
    }
}

/// Ends the endpoint's running rollout, if any, as rolled back. Moves no traffic.
pub(crate) async fn abort_running(
    change: &mut Mutation,
    endpoint: &Endpoint,
    reason: &str,
) -> Result<Option<RolloutId>> {
    let row = change
        .tx
        .row(
            "UPDATE rollouts SET state = 'rolled_back', weight = 0, reason = $2, ended_at = $3,
               revision = revision + 1
             WHERE endpoint_id = $1 AND state = 'running' RETURNING id, stage",
            values![endpoint.id, reason, change.now],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let id = row.parse("id")?;
    let logged = NewDecision {
        action: "roll_back".into(),
        reason: reason.into(),
        stage: row.count("stage")?,
        observed: Json::Null,
    };
    log(change, id, logged).await?;
    Ok(Some(id))
}

async fn log(change: &mut Mutation, id: RolloutId, new: NewDecision) -> Result<()> {
    let NewDecision { action, reason, stage, observed } = new;
    change
        .tx
        .execute(
            "INSERT INTO rollout_decisions
               (rollout_id, seq, created_at, action, reason, stage, observed)
             SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6
             FROM rollout_decisions WHERE rollout_id = $1",
            values![id, change.now, action, reason, stage, json(&observed)?],
        )
        .await?;
    Ok(())
}

async fn by_id(tx: &mut Tx, project: ProjectId, id: RolloutId) -> Result<Rollout> {
    let row =
        tx.row(select!("WHERE r.project_id = $1 AND r.id = $2"), values![project, id]).await?;
    rollout(&row.ok_or_else(|| StoreError::not_found("rollout", id))?)
}

impl Store {
    /// Starts a rollout: gives the candidate its first share.
    ///
    /// # Errors
    /// Without the `write` scope; when the endpoint is split or under another rollout, the
    /// candidate answers already, the stages do not rise to 100, or the gate was not passed and is
    /// not overridden.
    pub async fn rollout_start(&self, ctx: &OpContext, new: NewRollout) -> Result<Rollout> {
        let NewRollout {
            endpoint,
            candidate,
            stages,
            policy,
            machine,
            gate,
            override_gate,
            decision,
        } = new;
        check_stages(&stages)?;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let current = endpoint::by_name(&mut change.tx, ctx.project, &endpoint).await?;
        let current = current.ok_or_else(|| StoreError::not_found("endpoint", &endpoint))?;
        refuse_while_running(&mut change.tx, &current).await?;
        check_gate(&mut change.tx, ctx.project, gate, override_gate.as_deref()).await?;
        let baseline = sole_release(&current, candidate)?;
        let weight = stages.first().copied().unwrap_or(100);
        let traffic = split(baseline, candidate, weight);
        endpoint::check_traffic(&mut change.tx, ctx.project, &traffic).await?;
        let id = RolloutId::generate();
        let now = change.now;
        change
            .tx
            .execute(
                "INSERT INTO rollouts (id, project_id, endpoint_id, baseline_id, candidate_id,
                   state, stage, weight, stages, policy, machine, gate_id, override_gate,
                   baseline_traffic, reason, revision, created_at)
                 VALUES ($1, $2, $3, $4, $5, 'running', 0, $6, $7, $8, $9, $10, $11, $12, $13, 1,
                   $14)",
                values![
                    id,
                    ctx.project,
                    current.id,
                    baseline,
                    candidate,
                    weight,
                    json(&stages)?,
                    json(&policy)?,
                    json(&machine)?,
                    gate,
                    override_gate,
                    json(&current.traffic)?,
                    &decision.reason,
                    now
                ],
            )
            .await?;
        let reason = decision.reason.clone();
        log(&mut change, id, decision).await?;
        let origin = Origin { rollout: Some(id), restores: None };
        endpoint::advance(&mut change, current, traffic, &reason, origin).await?;
        let made = by_id(&mut change.tx, ctx.project, id).await?;
        let detail = json!({
            "endpoint": endpoint, "baseline": baseline, "candidate": candidate,
            "stages": stages, "gate": gate, "override_gate": made.override_gate
        });
        change.commit(Audit { action: "rollout.start", kind: "rollout", id: &id, detail }).await?;
        Ok(made)
    }

    /// Moves a running rollout on, if it is still at `revision`.
    ///
    /// # Errors
    /// Without the `write` scope; `Stale` when it was changed meanwhile, `Conflict` when it has
    /// ended.
    pub async fn rollout_update(
        &self,
        ctx: &OpContext,
        id: RolloutId,
        revision: i64,
        update: RolloutUpdate,
    ) -> Result<Rollout> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let before = by_id(&mut change.tx, ctx.project, id).await?;
        if before.revision != revision {
            let (name, found) = (id.to_string(), before.revision);
            return Err(StoreError::Stale { kind: "rollout", name, expected: revision, found });
        }
        if before.state != RolloutState::Running {
            let reason = format!("it has ended as {}", before.state);
            return Err(StoreError::conflict("rollout", id, reason));
        }
        let RolloutUpdate { state, stage, weight, machine, decision } = update;
        let ended_at = (state != RolloutState::Running).then_some(change.now);
        let reason = decision.as_ref().map(|decision| decision.reason.clone());
        change
            .tx
            .execute(
                "UPDATE rollouts SET state = $2, stage = $3, weight = $4, machine = $5,
                   reason = COALESCE($6, reason), ended_at = $7, revision = revision + 1
                 WHERE id = $1",
                values![
                    id,
                    state.to_string(),
                    stage,
                    weight,
                    json(&machine)?,
                    reason.clone(),
                    ended_at
                ],
            )
            .await?;
        if let Some(decision) = decision {
            log(&mut change, id, decision).await?;
        }
        let traffic = if weight == 0 {
            before.baseline_traffic.clone()
        } else {
            split(before.baseline, before.candidate, weight)
        };
        let current = endpoint::by_id(&mut change.tx, ctx.project, before.endpoint_id).await?;
        if current.traffic != traffic {
            endpoint::check_traffic(&mut change.tx, ctx.project, &traffic).await?;
            let origin = Origin { rollout: Some(id), restores: None };
            let why = reason.as_deref().unwrap_or("the rollout moved on");
            endpoint::advance(&mut change, current, traffic, why, origin).await?;
        }
        let after = by_id(&mut change.tx, ctx.project, id).await?;
        let detail = json!({
            "state": state, "stage": stage, "weight": weight, "reason": reason
        });
        change.commit(Audit { action: "rollout.update", kind: "rollout", id: &id, detail }).await?;
        Ok(after)
    }

    /// One rollout.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn rollout_get(&self, ctx: &OpContext, id: RolloutId) -> Result<Rollout> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = select!("WHERE r.project_id = $1 AND r.id = $2");
        let row = connections.row(sql, values![ctx.project, id]).await?;
        rollout(&row.ok_or_else(|| StoreError::not_found("rollout", id))?)
    }

    /// The project's rollouts, newest first, of one endpoint where its name is given.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn rollout_list(
        &self,
        ctx: &OpContext,
        endpoint: Option<&str>,
        page: &Page,
    ) -> Result<Listing<Rollout>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                select!(
                    "WHERE r.project_id = $1 AND (r.created_at, r.id) < ($2, $3)
                       AND ($4 IS NULL OR e.name = $4)
                     ORDER BY r.created_at DESC, r.id DESC LIMIT $5"
                ),
                values![ctx.project, after.at, &after.id, endpoint.map(str::to_owned), after.fetch],
            )
            .await?;
        let items = rows.iter().map(rollout).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.started_at, it.id.to_string())))
    }

    /// The running rollout of each endpoint of the project.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn rollout_list_running(&self, ctx: &OpContext) -> Result<Vec<Rollout>> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = select!("WHERE r.project_id = $1 AND r.state = 'running' ORDER BY r.id");
        connections.rows(sql, values![ctx.project]).await?.iter().map(rollout).collect()
    }

    /// Every project's running rollouts, for the loop that drives them.
    ///
    /// # Errors
    /// When the caller is not Pelton itself.
    pub async fn rollout_list_running_all(&self, ctx: &OpContext) -> Result<Vec<Rollout>> {
        let connections = self.read_as_system(ctx)?;
        let sql = select!("WHERE r.state = 'running' ORDER BY r.id");
        connections.rows(sql, vec![]).await?.iter().map(rollout).collect()
    }

    /// A rollout's log, oldest first.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is no such rollout.
    pub async fn rollout_decisions(&self, ctx: &OpContext, id: RolloutId) -> Result<Vec<Decision>> {
        self.rollout_get(ctx, id).await?;
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM rollout_decisions WHERE rollout_id = $1 ORDER BY seq";
        connections.rows(sql, values![id]).await?.iter().map(decision).collect()
    }
}

/// The one release that has all traffic now.
fn sole_release(current: &Endpoint, candidate: ReleaseId) -> Result<ReleaseId> {
    match current.traffic.as_slice() {
        [only] if only.release_id == candidate => {
            let reason = "the candidate has all traffic already";
            Err(StoreError::conflict("endpoint", &current.name, reason))
        }
        [only] => Ok(only.release_id),
        _ => {
            let reason = "its traffic is split: give one release 100 % before a rollout";
            Err(StoreError::conflict("endpoint", &current.name, reason))
        }
    }
}

/// A gate that was not passed refuses, unless somebody says why it shall not.
async fn check_gate(
    tx: &mut Tx,
    project: ProjectId,
    gate: Option<GateId>,
    override_gate: Option<&str>,
) -> Result<()> {
    let Some(gate) = gate else { return Ok(()) };
    let sql = "SELECT passed FROM gates WHERE project_id = $1 AND id = $2";
    let row = tx.row(sql, values![project, gate]).await?;
    let passed = row.ok_or_else(|| StoreError::not_found("gate", gate))?.flag("passed")?;
    if passed || override_gate.is_some() {
        return Ok(());
    }
    Err(StoreError::conflict(
        "gate",
        gate,
        "it was not passed: override it with a reason, or tune further",
    ))
}
