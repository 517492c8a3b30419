//! A fresh store and two tenants.

use pelton_context::{ManualClock, OpContext, Principal, Scope};
use pelton_ids::{Digest, Micros};
use pelton_metadata::{
    Bundle, EndpointChange, LeaseClock, ModelKind, NewModel, NewRelease, Release, Store,
    TrafficShare,
};
use pelton_testkit::postgres::TemporaryPostgres;
use std::sync::Arc;
use tempfile::TempDir;

/// When tests happen.
pub const START: Micros = Micros(1_800_000_000_000_000);

pub struct Bench {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    /// An administrator of the first project.
    pub ctx: OpContext,
    /// An administrator of the second project.
    pub other: OpContext,
    /// Pelton itself.
    pub system: OpContext,
    /// The database: a path or a URL.
    pub place: String,
    _folder: Option<TempDir>,
}

impl Bench {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("meta.db").to_str().unwrap().to_owned();
        Self::over(place, Some(folder)).await
    }

    pub async fn postgres(server: &TemporaryPostgres, name: &str) -> Self {
        Self::over(server.create_database(name).unwrap(), None).await
    }

    async fn over(place: String, folder: Option<TempDir>) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let store = open(&place, clock.clone()).await.unwrap();
        let one = store.project_ensure("one").await.unwrap().id;
        let two = store.project_ensure("two").await.unwrap().id;
        let admin = |project| OpContext {
            principal: Principal { name: "key:ada".into(), scopes: vec![Scope::Admin] },
            ..OpContext::system(project)
        };
        let (ctx, other, system) = (admin(one), admin(two), OpContext::system(one));
        Self { store, clock, ctx, other, system, place, _folder: folder }
    }

    /// The same database through new connections.
    pub async fn reopened(&self) -> Result<Store, pelton_metadata::StoreError> {
        open(&self.place, self.clock.clone()).await
    }

    /// Runs a statement behind the store's back.
    pub async fn meddle(&self, sql: &'static str) {
        if self.place.starts_with("postgres") {
            let pool = sqlx::PgPool::connect(&self.place).await.unwrap();
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        } else {
            let pool = sqlx::SqlitePool::connect(&self.place).await.unwrap();
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }

    pub async fn release(&self, name: &str) -> Release {
        let upstream = pelton_metadata::Upstream { provider: "p".into(), model: name.into() };
        let bundle = Bundle { upstream: Some(upstream), ..Bundle::default() };
        let new = NewRelease { name: name.into(), bundle, gate: None };
        self.store.release_create(&self.ctx, new).await.unwrap()
    }
}

async fn open(place: &str, clock: Arc<ManualClock>) -> Result<Store, pelton_metadata::StoreError> {
    if place.starts_with("postgres") {
        Store::open_postgres(place, clock, LeaseClock::Store).await
    } else {
        Store::open_sqlite(place.as_ref(), clock).await
    }
}

pub fn all_to(release: &Release) -> Vec<TrafficShare> {
    vec![TrafficShare { release_id: release.id, weight: 100 }]
}

pub fn change(traffic: Vec<TrafficShare>) -> EndpointChange {
    EndpointChange { traffic, expected: None, reason: "test".into() }
}

pub fn base_model(name: &str) -> NewModel {
    NewModel {
        name: name.into(),
        kind: ModelKind::Base,
        base: None,
        digest: Digest::of(name.as_bytes()),
        license: "Apache-2.0".into(),
        card: "# Card".into(),
        lineage: None,
        files: vec![pelton_metadata::ModelFile {
            path: "model.safetensors".into(),
            digest: Digest::of(b"weights"),
            size: 7,
        }],
        job_id: None,
    }
}

/// The variant of an error, without its fields.
pub fn kind_of<T: std::fmt::Debug>(answer: Result<T, pelton_metadata::StoreError>) -> String {
    let text = match answer {
        Ok(answer) => return format!("Ok({answer:?})"),
        Err(error) => format!("{error:?}"),
    };
    text.split([' ', '(', '{']).next().unwrap().to_owned()
}
