//! Endpoints: the names that applications call, and the history of what stood behind them.
//!
//! Every change of traffic is a new generation; going back is one too.

use crate::connection::Tx;
use crate::error::{Result, StoreError};
use crate::row::{Row, json, values};
use crate::store::{Audit, Mutation, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{EndpointId, Micros, ProjectId, ReleaseId, RolloutId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// A release's share of an endpoint's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficShare {
    /// The release.
    pub release_id: ReleaseId,
    /// Per cent, 0 to 100; an endpoint's shares sum to 100.
    pub weight: u32,
}

/// A name that applications call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Names it for good.
    pub id: EndpointId,
    /// The name.
    pub name: String,
    /// Grows with every change of traffic, from 1.
    pub generation: i64,
    /// Who answers.
    pub traffic: Vec<TrafficShare>,
    /// When it was made.
    pub created_at: Micros,
    /// When its traffic last changed.
    pub updated_at: Micros,
}

/// One state in an endpoint's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrafficGeneration {
    /// Its number.
    pub generation: i64,
    /// Since when.
    pub at: Micros,
    /// Who made it so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Who answered.
    pub traffic: Vec<TrafficShare>,
    /// The rollout that made the change.
    pub rollout: Option<RolloutId>,
    /// The earlier generation that this one went back to.
    pub restores: Option<i64>,
}

/// A change of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    /// Who shall answer.
    pub traffic: Vec<TrafficShare>,
    /// The generation that the caller has seen, 0 for an endpoint yet to be made; `None` to change
    /// it whatever it is.
    pub expected: Option<i64>,
    /// Why, for the history.
    pub reason: String,
}

/// Where a generation comes from.
#[derive(Default, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) rollout: Option<RolloutId>,
    pub(crate) restores: Option<i64>,
}

fn endpoint(row: &Row) -> Result<Endpoint> {
    Ok(Endpoint {
        id: row.parse("id")?,
        name: row.text("name")?,
        generation: row.int("generation")?,
        traffic: row.json("traffic")?,
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}

fn traffic_generation(row: &Row) -> Result<TrafficGeneration> {
    Ok(TrafficGeneration {
        generation: row.int("generation")?,
        at: row.at("created_at")?,
        by: row.text("actor")?,
        reason: row.text("reason")?,
        traffic: row.json("traffic")?,
        rollout: row.parse_or_null("rollout_id")?,
        restores: row.int_or_null("restores")?,
    })
}

/// Shares must sum to 100 over distinct releases of the project.
pub(crate) async fn check_traffic(
    tx: &mut Tx,
    project: ProjectId,
    traffic: &[TrafficShare],
) -> Result<()> {
    let sum: u64 = traffic.iter().map(|share| u64::from(share.weight)).sum();
    if sum != 100 {
        return Err(StoreError::Invalid(format!("the weights sum to {sum}; they must sum to 100")));
    }
    let distinct: BTreeSet<ReleaseId> = traffic.iter().map(|share| share.release_id).collect();
    if distinct.len() != traffic.len() {
        return Err(StoreError::Invalid("a release appears twice in the traffic".into()));
    }
    for release in distinct {
        let sql = "SELECT id FROM releases WHERE project_id = $1 AND id = $2";
        let found = tx.row(sql, values![project, release]).await?;
        found.ok_or_else(|| StoreError::not_found("release", release))?;
    }
    Ok(())
}

pub(crate) async fn by_name(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
) -> Result<Option<Endpoint>> {
    let sql = "SELECT * FROM endpoints WHERE project_id = $1 AND name = $2";
    tx.row(sql, values![project, name]).await?.as_ref().map(endpoint).transpose()
}

pub(crate) async fn by_id(tx: &mut Tx, project: ProjectId, id: EndpointId) -> Result<Endpoint> {
    let sql = "SELECT * FROM endpoints WHERE project_id = $1 AND id = $2";
    let row = tx.row(sql, values![project, id]).await?;
    endpoint(&row.ok_or_else(|| StoreError::not_found("endpoint", id))?)
}

/// Makes `traffic` the next generation of `current`.
pub(crate) async fn advance(
    change: &mut Mutation,
    current: Endpoint,
    traffic: Vec<TrafficShare>,
    reason: &str,
    origin: Origin,
) -> Result<Endpoint> {
    let Endpoint { id, name, generation, traffic: _, created_at, updated_at: _ } = current;
    let generation = generation + 1;
    let next = Endpoint { id, name, generation, traffic, created_at, updated_at: change.now };
    let text = json(&next.traffic)?;
    change
        .tx
        .execute(
            "UPDATE endpoints SET generation = $2, traffic = $3, updated_at = $4 WHERE id = $1",
            values![next.id, next.generation, &text, next.updated_at],
        )
        .await?;
    insert_generation(change, &next, reason, origin).await?;
    change.changes_config();
    Ok(next)
}

async fn insert_generation(
    change: &mut Mutation,
    next: &Endpoint,
    reason: &str,
    origin: Origin,
) -> Result<()> {
    let Origin { rollout, restores } = origin;
    change
        .tx
        .execute(
            "INSERT INTO endpoint_generations
               (endpoint_id, generation, created_at, actor, reason, traffic, rollout_id, restores)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            values![
                next.id,
                next.generation,
                next.updated_at,
                change.actor.clone(),
                reason,
                json(&next.traffic)?,
                rollout,
                restores
            ],
        )
        .await?;
    Ok(())
}

async fn insert(
    change: &mut Mutation,
    project: ProjectId,
    name: &str,
    traffic: Vec<TrafficShare>,
    reason: &str,
) -> Result<Endpoint> {
    let made = Endpoint {
        id: EndpointId::generate(),
        name: name.into(),
        generation: 1,
        traffic,
        created_at: change.now,
        updated_at: change.now,
    };
    change
        .tx
        .execute(
            "INSERT INTO endpoints
               (id, project_id, name, generation, traffic, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values![
                made.id,
                project,
                name,
                made.generation,
                json(&made.traffic)?,
                made.created_at,
                made.updated_at
            ],
        )
        .await?;
    insert_generation(change, &made, reason, Origin::default()).await?;
    change.changes_config();
    Ok(made)
}

/// The generation to go back to: the newest that stood before the current one, differs from it and
/// is not a step of the same rollout. Going back twice goes back further, not forth again.
fn previous(history: &[TrafficGeneration]) -> Option<&TrafficGeneration> {
    let landed = origin_of(history, history.first()?);
    let target = history.iter().filter(|it| it.generation < landed.generation).find(|it| {
        it.traffic != landed.traffic && (it.rollout.is_none() || it.rollout != landed.rollout)
    })?;
    Some(origin_of(history, target))
}

/// The generation whose traffic `it` went back to, or `it` itself.
fn origin_of<'a>(
    history: &'a [TrafficGeneration],
    it: &'a TrafficGeneration,
) -> &'a TrafficGeneration {
    let restored = it
        .restores
        .and_then(|restored| history.iter().find(|earlier| earlier.generation == restored));
    restored.unwrap_or(it)
}

const HISTORY: &str =
    "SELECT * FROM endpoint_generations WHERE endpoint_id = $1 ORDER BY generation DESC LIMIT $2";

impl Store {
    /// Sets who answers an endpoint, making the endpoint when absent.
    ///
    /// # Errors
    /// Without the `write` scope; when the weights do not sum to 100, a release does not exist
    /// here, the generation is not the expected one, or a rollout is running.
    pub async fn endpoint_put(
        &self,
        ctx: &OpContext,
        name: &str,
        new: EndpointChange,
    ) -> Result<Endpoint> {
        crate::name::check("endpoint", name)?;
        let EndpointChange { traffic, expected, reason } = new;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        check_traffic(&mut change.tx, ctx.project, &traffic).await?;
        let current = by_name(&mut change.tx, ctx.project, name).await?;
        let found = current.as_ref().map_or(0, |current| current.generation);
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            let name = name.into();
            return Err(StoreError::Stale { kind: "endpoint", name, expected, found });
        }
        let next = match current {
            None => insert(&mut change, ctx.project, name, traffic, &reason).await?,
            Some(current) => {
                crate::rollout::refuse_while_running(&mut change.tx, &current).await?;
                advance(&mut change, current, traffic, &reason, Origin::default()).await?
            }
        };
        let detail = json!({
            "name": name, "generation": next.generation, "traffic": next.traffic, "reason": reason
        });
        change
            .commit(Audit { action: "endpoint.put", kind: "endpoint", id: &next.id, detail })
            .await?;
        Ok(next)
    }

    /// Goes back to what answered before the last change, or before the rollout that made it; a
    /// running rollout is ended as rolled back.
    ///
    /// # Errors
    /// Without the `write` scope, or when there is no such endpoint or nothing before.
    pub async fn endpoint_rollback(
        &self,
        ctx: &OpContext,
        name: &str,
        reason: &str,
    ) -> Result<Endpoint> {
        let mut change = self.mutate(ctx, Scope::Write).await?;
        let current = by_name(&mut change.tx, ctx.project, name).await?;
        let current = current.ok_or_else(|| StoreError::not_found("endpoint", name))?;
        let aborted = crate::rollout::abort_running(&mut change, &current, reason).await?;
        let rows = change.tx.rows(HISTORY, values![current.id, i64::MAX]).await?;
        let history = rows.iter().map(traffic_generation).collect::<Result<Vec<_>>>()?;
        let target = previous(&history).ok_or_else(|| {
            StoreError::conflict("endpoint", name, "nothing answered before: there is no way back")
        })?;
        let origin = Origin { rollout: None, restores: Some(target.generation) };
        let next = advance(&mut change, current, target.traffic.clone(), reason, origin).await?;
        let detail = json!({
            "name": name, "generation": next.generation, "restores": target.generation,
            "traffic": next.traffic, "reason": reason, "rollout": aborted
        });
        change
            .commit(Audit { action: "endpoint.rollback", kind: "endpoint", id: &next.id, detail })
            .await?;
        Ok(next)
    }

    /// One endpoint.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn endpoint_get(&self, ctx: &OpContext, name: &str) -> Result<Endpoint> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM endpoints WHERE project_id = $1 AND name = $2";
        let row = connections.row(sql, values![ctx.project, name]).await?;
        endpoint(&row.ok_or_else(|| StoreError::not_found("endpoint", name))?)
    }

    /// The project's endpoints by name.
    ///
    /// # Errors
    /// Without the `read` scope.
    pub async fn endpoint_list(&self, ctx: &OpContext) -> Result<Vec<Endpoint>> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM endpoints WHERE project_id = $1 ORDER BY name";
        connections.rows(sql, values![ctx.project]).await?.iter().map(endpoint).collect()
    }

    /// The newest `limit` generations of an endpoint, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is no such endpoint.
    pub async fn endpoint_history(
        &self,
        ctx: &OpContext,
        name: &str,
        limit: u32,
    ) -> Result<Vec<TrafficGeneration>> {
        let current = self.endpoint_get(ctx, name).await?;
        let connections = self.read(ctx, Scope::Read)?;
        let rows = connections.rows(HISTORY, values![current.id, limit]).await?;
        rows.iter().map(traffic_generation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (i64, u128, Option<u128>, Option<i64>);

    /// `history` is newest first: (generation, release, rollout, restores).
    fn check(history: &[Told], expect: Option<i64>) {
        let told = |&(generation, release, rollout, restores): &Told| TrafficGeneration {
            generation,
            at: Micros(generation),
            by: "test".into(),
            reason: String::new(),
            traffic: vec![TrafficShare { release_id: ReleaseId::from_u128(release), weight: 100 }],
            rollout: rollout.map(RolloutId::from_u128),
            restores,
        };
        let history: Vec<TrafficGeneration> = history.iter().map(told).collect();
        assert_eq!(previous(&history).map(|it| it.generation), expect);
    }

    #[test]
    fn the_way_back() {
        const R: Option<u128> = Some(7);
        check(&[(1, 1, None, None)], None);
        check(&[(2, 2, None, None), (1, 1, None, None)], Some(1));
        // A rollout's steps are one change.
        check(&[(4, 4, R, None), (3, 3, R, None), (2, 2, R, None), (1, 1, None, None)], Some(1));
        // After a rollout that failed by itself, what it left is what stood before it.
        check(&[(4, 2, R, None), (3, 3, R, None), (2, 2, None, None), (1, 1, None, None)], Some(1));
        // After going back from 3 to 2, going back again leads to 1.
        let back_to_2 = (4, 2, None, Some(2));
        check(&[back_to_2, (3, 3, None, None), (2, 2, None, None), (1, 1, None, None)], Some(1));
        check(&[(3, 1, None, Some(1)), (2, 2, None, None), (1, 1, None, None)], None);
        // What was left because it was bad does not come back.
        let back_to_1 = (3, 1, None, Some(1));
        check(&[(4, 4, None, None), back_to_1, (2, 2, None, None), (1, 1, None, None)], Some(1));
    }
}
