//! Keys that clients authenticate with: only their hashes are stored.

use crate::error::{Result, StoreError};
use crate::row::{Row, json, values};
use crate::store::{Audit, Store};
use pelton_context::{OpContext, Principal, Scope};
use pelton_ids::{ApiKeyId, Micros, ProjectId};
use pelton_secrets::{Redacted, api_key_from_random, api_key_hash, hashes_equal};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Mutex;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Names the key.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// The first letters of the secret, to recognize it by.
    pub prefix: String,
    /// The rights it gives.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Micros,
    /// When it stopped to work.
    pub revoked_at: Option<Micros>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Micros>,
}

/// A key just made: the only time its secret is seen.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// What the client sends.
    pub secret: Redacted<String>,
}

/// Whom a secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The caller, named `key:NAME`.
    pub principal: Principal,
    /// The caller's project.
    pub project: ProjectId,
    /// The key.
    pub key: ApiKeyId,
}

/// How many letters of the secret its prefix shows.
const PREFIX_LETTERS: usize = 11;
/// How often the last use of a key is written down, in microseconds.
const USE_INTERVAL: i64 = 60_000_000;
/// How many keys are remembered before all are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Keys seen since the configuration last changed, by hash, so that a request need not wait for
/// the database. A revocation changes the configuration and so empties it.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    generation: i64,
    by_hash: HashMap<String, (Authenticated, Micros)>,
}

impl Cache {
    fn get(&self, hash: &str, generation: i64, now: Micros) -> Option<(Authenticated, bool)> {
        let mut held = self.0.lock().ok()?;
        if held.generation != generation {
            *held = Remembered { generation, by_hash: HashMap::new() };
        }
        let (found, used) = held.by_hash.get_mut(hash)?;
        let write_use = now.0.saturating_sub(used.0) >= USE_INTERVAL;
        if write_use {
            *used = now;
        }
        Some((found.clone(), write_use))
    }

    fn put(&self, hash: String, found: Authenticated, generation: i64, now: Micros) {
        let Ok(mut held) = self.0.lock() else { return };
        if held.generation != generation {
            return;
        }
        if held.by_hash.len() >= MAX_REMEMBERED {
            held.by_hash.clear();
        }
        held.by_hash.insert(hash, (found, now));
    }
}

fn api_key(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.parse("id")?,
        name: row.text("name")?,
        prefix: row.text("prefix")?,
        scopes: row.json("scopes")?,
        created_at: row.at("created_at")?,
        revoked_at: row.at_or_null("revoked_at")?,
        last_used_at: row.at_or_null("last_used_at")?,
    })
}

fn prefix_of(secret: &str) -> String {
    secret.chars().take(PREFIX_LETTERS).collect()
}

impl Store {
    /// Makes a key whose secret comes from `random`, 32 bytes of a cryptographic generator.
    ///
    /// # Errors
    /// Without the `admin` scope, or when a live key has the name.
    pub async fn api_key_create(
        &self,
        ctx: &OpContext,
        name: &str,
        scopes: &[Scope],
        random: [u8; 32],
    ) -> Result<NewApiKey> {
        crate::name::check("key", name)?;
        if scopes.is_empty() {
            return Err(StoreError::Invalid("a key needs at least one scope".into()));
        }
        let mut change = self.mutate(ctx, Scope::Admin).await?;
        let secret = api_key_from_random(random);
        let key = ApiKey {
            id: ApiKeyId::generate(),
            name: name.into(),
            prefix: prefix_of(secret.expose()),
            scopes: scopes.to_vec(),
            created_at: change.now,
            revoked_at: None,
            last_used_at: None,
        };
        change
            .tx
            .execute(
                "INSERT INTO api_keys (id, project_id, name, prefix, hash, scopes, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                values![
                    key.id,
                    ctx.project,
                    name,
                    &key.prefix,
                    api_key_hash(secret.expose()),
                    json(scopes)?,
                    key.created_at
                ],
            )
            .await
            .map_err(|error| error.taken("key", name, "a live key has this name"))?;
        let detail = json!({ "name": name, "scopes": scopes, "prefix": key.prefix });
        change.commit(Audit { action: "key.create", kind: "key", id: &key.id, detail }).await?;
        Ok(NewApiKey { key, secret })
    }

    /// The project's keys, newest first, revoked ones too.
    ///
    /// # Errors
    /// Without the `admin` scope.
    pub async fn api_key_list(&self, ctx: &OpContext) -> Result<Vec<ApiKey>> {
        let connections = self.read(ctx, Scope::Admin)?;
        let sql = "SELECT * FROM api_keys WHERE project_id = $1 ORDER BY created_at DESC, id DESC";
        connections.rows(sql, values![ctx.project]).await?.iter().map(api_key).collect()
    }

    /// Stops a key from working, at once. Revoking it again changes nothing.
    ///
    /// # Errors
    /// Without the `admin` scope, or when there is no such key.
    pub async fn api_key_revoke(&self, ctx: &OpContext, id: ApiKeyId) -> Result<ApiKey> {
        let mut change = self.mutate(ctx, Scope::Admin).await?;
        let now = change.now;
        let row = change
            .tx
            .row(
                "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3)
                 WHERE project_id = $1 AND id = $2 RETURNING *",
                values![ctx.project, id, now],
            )
            .await?;
        let key = api_key(&row.ok_or_else(|| StoreError::not_found("key", id))?)?;
        change.changes_config();
        let detail = json!({ "name": key.name });
        change.commit(Audit { action: "key.revoke", kind: "key", id: &id, detail }).await?;
        Ok(key)
    }

    /// Whom `secret` belongs to, or nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key_authenticate(&self, secret: &str) -> Result<Option<Authenticated>> {
        let hash = api_key_hash(secret);
        let (generation, now) = (self.known_generation(), self.now());
        if let Some((found, write_use)) = self.keys().get(&hash, generation, now) {
            if write_use {
                self.api_key_used(found.key, now).await?;
            }
            return Ok(Some(found));
        }
        let Some(found) = self.api_key_by_secret(secret, &hash).await? else { return Ok(None) };
        self.api_key_used(found.key, now).await?;
        self.keys().put(hash, found.clone(), generation, now);
        Ok(Some(found))
    }

    /// Finds candidates by their prefix and compares hashes in constant time.
    async fn api_key_by_secret(&self, secret: &str, hash: &str) -> Result<Option<Authenticated>> {
        let sql = "SELECT * FROM api_keys WHERE prefix = $1 AND revoked_at IS NULL";
        let rows = self.before_authentication().rows(sql, values![prefix_of(secret)]).await?;
        for row in &rows {
            if hashes_equal(&row.text("hash")?, hash) {
                let ApiKey { id, name, scopes, .. } = api_key(row)?;
                return Ok(Some(Authenticated {
                    principal: Principal { name: format!("key:{name}"), scopes },
                    project: row.parse("project_id")?,
                    key: id,
                }));
            }
        }
        Ok(None)
    }

    async fn api_key_used(&self, id: ApiKeyId, now: Micros) -> Result<()> {
        let mut tx = self.before_authentication().begin().await?;
        tx.execute(
            "UPDATE api_keys SET last_used_at = $2
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
            values![id, now, now.plus(-USE_INTERVAL)],
        )
        .await?;
        tx.commit().await
    }
}
