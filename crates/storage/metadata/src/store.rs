//! The store itself: who may read, who may write, and how a change becomes one transaction.
//!
//! A noun's file cannot reach the database but through [`Store::read`] and [`Store::mutate`], which
//! authorize first. A [`Mutation`] can only be committed with its audit entry.

use crate::audit::{self, Head};
use crate::connection::{Connections, Tx};
use crate::error::{Result, StoreError};
use crate::migrate::migrate;
use crate::row::values;
use pelton_context::{Clock, Forbidden, OpContext, Principal, Scope};
use pelton_ids::{Micros, ProjectId};
use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Which clock leases are measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseClock {
    /// PostgreSQL's own clock, so that nodes need not agree on the time; SQLite has one process
    /// and uses the store's clock.
    #[default]
    Database,
    /// The store's clock on both databases, for tests that turn it.
    Store,
}

/// Projects, versions, releases, jobs, keys and audit.
///
/// Cheap to clone: clones share the connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    clock: Arc<dyn Clock>,
    lease_clock: LeaseClock,
    generation: watch::Sender<i64>,
    jobs: Notify,
    keys: crate::api_key::Cache,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.inner.connections {
            Connections::Sqlite { .. } => "sqlite",
            Connections::Postgres(_) => "postgres",
        };
        out.debug_tuple("Store").field(&kind).finish()
    }
}

impl Store {
    /// Opens the SQLite database in the file `path`, making and migrating it as needed.
    ///
    /// Only one process may have it open: the caller holds a lock on the data folder.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open_sqlite(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let connections = Connections::open_sqlite(path).await?;
        Self::over(connections, clock, LeaseClock::Database).await
    }

    /// Connects to the PostgreSQL database at `url`, migrating it as needed.
    ///
    /// # Errors
    /// When the server cannot be reached, or its schema is newer.
    pub async fn open_postgres(
        url: &str,
        clock: Arc<dyn Clock>,
        lease_clock: LeaseClock,
    ) -> Result<Self> {
        let connections = Connections::open_postgres(url).await?;
        Self::over(connections, clock, lease_clock).await
    }

    async fn over(
        connections: Connections,
        clock: Arc<dyn Clock>,
        lease_clock: LeaseClock,
    ) -> Result<Self> {
        let ran = migrate(&connections, clock.now()).await?;
        if ran > 0 {
            tracing::info!(migrations = ran, "brought the metadata schema up to date");
        }
        let store = Self {
            inner: Arc::new(Inner {
                connections,
                clock,
                lease_clock,
                generation: watch::Sender::new(0),
                jobs: Notify::new(),
                keys: crate::api_key::Cache::default(),
            }),
        };
        store.config_generation().await?;
        Ok(store)
    }

    /// Ends every connection, after what runs on them.
    pub async fn close(&self) {
        self.inner.connections.close().await;
    }

    /// The present instant by the store's clock.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.inner.clock.now()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        self.inner.connections.row("SELECT 1 AS one", vec![]).await.map(drop)
    }

    /// The number that grows with every change that a gateway must see: endpoints, releases,
    /// rollouts, models and keys. Polled by each node; in one process, [`Store::config_changes`]
    /// tells it at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn config_generation(&self) -> Result<i64> {
        let sql = "SELECT generation FROM config_generation WHERE id = 1";
        let row = self.inner.connections.row(sql, vec![]).await?;
        let generation = row.map_or(Ok(0), |row| row.int("generation"))?;
        self.inner.announce(generation);
        Ok(generation)
    }

    /// Wakes on every change of the configuration made or polled in this process.
    #[must_use]
    pub fn config_changes(&self) -> watch::Receiver<i64> {
        self.inner.generation.subscribe()
    }

    /// Resolves when a job was queued, cancelled or ended in this process since the last call.
    pub async fn jobs_changed(&self) {
        self.inner.jobs.notified().await;
    }

    pub(crate) fn keys(&self) -> &crate::api_key::Cache {
        &self.inner.keys
    }

    /// The newest configuration generation known to this process.
    pub(crate) fn known_generation(&self) -> i64 {
        *self.inner.generation.borrow()
    }

    /// Connections for a caller that holds `scope`.
    pub(crate) fn read(&self, ctx: &OpContext, scope: Scope) -> Result<&Connections> {
        ctx.require(scope)?;
        self.in_time(ctx)?;
        Ok(&self.inner.connections)
    }

    /// Connections for Pelton itself, which alone crosses projects.
    pub(crate) fn read_as_system(&self, ctx: &OpContext) -> Result<&Connections> {
        require_system(ctx)?;
        Ok(&self.inner.connections)
    }

    /// Connections for the two steps that come before anyone is known: bootstrap and key lookup.
    pub(crate) fn before_authentication(&self) -> &Connections {
        &self.inner.connections
    }

    /// Begins a change to the caller's project. Changes of one project follow one another.
    pub(crate) async fn mutate(&self, ctx: &OpContext, scope: Scope) -> Result<Mutation> {
        ctx.require(scope)?;
        self.in_time(ctx)?;
        let mut tx = self.inner.connections.begin().await?;
        let head = audit::lock_head(&mut tx, ctx.project).await?;
        Ok(self.mutation(tx, ctx, head))
    }

    /// As `mutate`, within a transaction that already holds the project's chain.
    pub(crate) fn mutation(&self, tx: Tx, ctx: &OpContext, head: Head) -> Mutation {
        Mutation {
            tx,
            head,
            now: self.now(),
            project: ctx.project,
            actor: ctx.principal.name.clone(),
            request: ctx.request,
            config_changed: false,
            jobs_changed: false,
            store: self.clone(),
        }
    }

    /// Begins a write by Pelton itself that is bookkeeping, not a change anybody asked for:
    /// leases, progress, logs, the part catalog. These alone carry no audit entry.
    pub(crate) async fn bookkeep(&self, ctx: &OpContext) -> Result<Tx> {
        require_system(ctx)?;
        self.inner.connections.begin().await
    }

    /// The instant that leases are measured with.
    pub(crate) async fn lease_now(&self, tx: &mut Tx) -> Result<Micros> {
        if !tx.is_postgres() || self.inner.lease_clock == LeaseClock::Store {
            return Ok(self.now());
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now";
        let row = tx.row(sql, vec![]).await?;
        row.map_or(Err(StoreError::not_found("clock", "now")), |row| row.at("now"))
    }

    pub(crate) fn announce_jobs(&self) {
        self.inner.jobs.notify_one();
    }

    fn in_time(&self, ctx: &OpContext) -> Result<()> {
        if ctx.deadline.is_some_and(|deadline| deadline < self.now()) {
            return Err(StoreError::DeadlineExceeded);
        }
        Ok(())
    }
}

impl Inner {
    fn announce(&self, generation: i64) {
        self.generation.send_if_modified(|known| {
            let newer = generation > *known;
            *known = generation.max(*known);
            newer
        });
    }
}

/// Only Pelton itself crosses projects.
pub(crate) fn require_system(ctx: &OpContext) -> Result<()> {
    if ctx.principal == Principal::system() {
        return Ok(());
    }
    Err(Forbidden { who: ctx.principal.name.clone(), needs: Scope::Admin }.into())
}

/// A change under way. Dropped, it leaves nothing behind.
pub(crate) struct Mutation {
    pub(crate) tx: Tx,
    pub(crate) now: Micros,
    pub(crate) project: ProjectId,
    pub(crate) actor: String,
    pub(crate) request: pelton_ids::RequestId,
    pub(crate) head: Head,
    config_changed: bool,
    jobs_changed: bool,
    store: Store,
}

/// What the audit log says of a change.
pub(crate) struct Audit<'a> {
    /// Noun and verb: `release.create`.
    pub(crate) action: &'static str,
    /// The noun.
    pub(crate) kind: &'static str,
    /// The id of the changed thing.
    pub(crate) id: &'a (dyn std::fmt::Display + Sync),
    /// What changed, without secrets.
    pub(crate) detail: Json,
}

impl Mutation {
    /// Says that gateways must see this change.
    pub(crate) fn changes_config(&mut self) {
        self.config_changed = true;
    }

    /// Says that job runners must see this change.
    pub(crate) fn changes_jobs(&mut self) {
        self.jobs_changed = true;
    }

    /// Makes the change and its audit entry durable together.
    pub(crate) async fn commit(mut self, entry: Audit<'_>) -> Result<()> {
        audit::append(&mut self, entry).await?;
        let generation =
            if self.config_changed { Some(self.next_generation().await?) } else { None };
        self.tx.commit().await?;
        if let Some(generation) = generation {
            self.store.inner.announce(generation);
        }
        if self.jobs_changed {
            self.store.announce_jobs();
        }
        Ok(())
    }

    async fn next_generation(&mut self) -> Result<i64> {
        let sql = "UPDATE config_generation SET generation = generation + 1 WHERE id = 1
                   RETURNING generation";
        let row = self.tx.row(sql, values![]).await?;
        row.map_or(Err(StoreError::Schema("no configuration generation".into())), |row| {
            row.int("generation")
        })
    }
}
