//! Releases: immutable bundles of everything that decides an answer.

use crate::error::{Result, StoreError};
use crate::page::{After, Listing, Page};
use crate::row::{Row, json, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Scope};
use pelton_ids::{Digest, GateId, Micros, ReleaseId};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A model served by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The name of a configured provider.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
}

/// Sampling defaults, where the caller says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// From 0, which always takes the likeliest token.
    pub temperature: Option<f64>,
    /// The share of probability that is sampled from.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens are sampled from.
    pub top_k: Option<u32>,
    /// The most tokens of an answer.
    pub max_tokens: Option<u32>,
    /// Makes an answer repeatable.
    pub seed: Option<i64>,
    /// Texts that end an answer.
    pub stop: Option<Vec<String>>,
}

/// Everything that decides an answer. Its digest is over its canonical JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bundle {
    /// A base model, `name@version`.
    pub model: Option<String>,
    /// An adapter over it, `name@version`.
    pub adapter: Option<String>,
    /// Somebody else's model, in place of a base.
    pub upstream: Option<Upstream>,
    /// Sampling defaults.
    pub sampling: Option<Sampling>,
    /// A system prompt, where the caller gives none.
    pub system_prompt: Option<String>,
}

/// A named bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Names the release for good.
    pub id: ReleaseId,
    /// Names it for people, once in a project.
    pub name: String,
    /// SHA-256 of the bundle.
    pub digest: Digest,
    /// What is served.
    pub bundle: Bundle,
    /// The decision that speaks for it.
    pub gate: Option<GateId>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Micros,
}

/// A release to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRelease {
    /// Its name.
    pub name: String,
    /// What it serves.
    pub bundle: Bundle,
    /// The decision that speaks for it.
    pub gate: Option<GateId>,
}

impl Bundle {
    /// SHA-256 of the canonical JSON: fields in their order here, absent ones as null.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(json(self)?.as_bytes()))
    }

    fn check(&self) -> Result<()> {
        let invalid = |why: &str| Err(StoreError::Invalid(why.into()));
        match (&self.model, &self.upstream, &self.adapter) {
            (None, None, _) => invalid("a release serves a `model` or an `upstream`: give one"),
            (Some(_), Some(_), _) => {
                invalid("a release serves a `model` or an `upstream`, not both")
            }
            (None, Some(_), Some(_)) => invalid("an `adapter` needs a `model`, not an `upstream`"),
            _ => Ok(()),
        }
    }
}

fn release(row: &Row) -> Result<Release> {
    Ok(Release {
        id: row.parse("id")?,
        name: row.text("name")?,
        digest: row.parse("digest")?,
        bundle: row.json("bundle")?,
        gate: row.parse_or_null("gate_id")?,
        created_by: row.text("created_by")?,
        created_at: row.at("created_at")?,
    })
}

impl Store {
    /// Makes a release.
    ///
    /// # Errors
    /// Without the `write` scope; when the bundle serves nothing, names models or a gate that do
    /// not exist here, or the name is taken.
    pub async fn release_create(&self, ctx: &OpContext, new: NewRelease) -> Result<Release> {
        let NewRelease { name, bundle, gate } = new;
        crate::name::check("release", &name)?;
        bundle.check()?;
        let mut change = self.mutate(ctx, Scope::Write).await?;
        for reference in [&bundle.model, &bundle.adapter].into_iter().flatten() {
            crate::model::require(&mut change.tx, ctx.project, reference).await?;
        }
        if let Some(gate) = gate {
            let sql = "SELECT id FROM gates WHERE project_id = $1 AND id = $2";
            let found = change.tx.row(sql, values![ctx.project, gate]).await?;
            found.ok_or_else(|| StoreError::not_found("gate", gate))?;
        }
        let made = Release {
            id: ReleaseId::generate(),
            name,
            digest: bundle.digest()?,
            bundle,
            gate,
            created_by: change.actor.clone(),
            created_at: change.now,
        };
        change
            .tx
            .execute(
                "INSERT INTO releases
                   (id, project_id, name, digest, bundle, gate_id, created_by, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                values![
                    made.id,
                    ctx.project,
                    &made.name,
                    made.digest,
                    json(&made.bundle)?,
                    made.gate,
                    &made.created_by,
                    made.created_at
                ],
            )
            .await
            .map_err(|error| {
                error.taken("release", &made.name, "the name is taken; releases never change")
            })?;
        change.changes_config();
        let detail = json!({ "name": made.name, "digest": made.digest });
        change
            .commit(Audit { action: "release.create", kind: "release", id: &made.id, detail })
            .await?;
        Ok(made)
    }

    /// One release.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn release_get(&self, ctx: &OpContext, id: ReleaseId) -> Result<Release> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM releases WHERE project_id = $1 AND id = $2";
        let row = connections.row(sql, values![ctx.project, id]).await?;
        release(&row.ok_or_else(|| StoreError::not_found("release", id))?)
    }

    /// The release of that name.
    ///
    /// # Errors
    /// Without the `read` scope, or when there is none.
    pub async fn release_get_by_name(&self, ctx: &OpContext, name: &str) -> Result<Release> {
        let connections = self.read(ctx, Scope::Read)?;
        let sql = "SELECT * FROM releases WHERE project_id = $1 AND name = $2";
        let row = connections.row(sql, values![ctx.project, name]).await?;
        release(&row.ok_or_else(|| StoreError::not_found("release", name))?)
    }

    /// The project's releases, newest first.
    ///
    /// # Errors
    /// Without the `read` scope, or with a bad cursor.
    pub async fn release_list(&self, ctx: &OpContext, page: &Page) -> Result<Listing<Release>> {
        let connections = self.read(ctx, Scope::Read)?;
        let after = After::of(page)?;
        let rows = connections
            .rows(
                "SELECT * FROM releases WHERE project_id = $1 AND (created_at, id) < ($2, $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4",
                values![ctx.project, after.at, &after.id, after.fetch],
            )
            .await?;
        let items = rows.iter().map(release).collect::<Result<Vec<_>>>()?;
        Ok(after.listing(items, |it| (it.created_at, it.id.to_string())))
    }
}
