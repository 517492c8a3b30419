//! From the stored configuration to the snapshot that the gateway routes by.
//!
//! A pure plan: [`plan`] takes what is stored and which engines answer, and makes the whole
//! snapshot; [`keep_current`] runs it whenever either changes.

use crate::engines::{Engines, Serving};
use arc_swap::ArcSwap;
use pelton_config::Provider;
use pelton_context::OpContext;
use pelton_egress::Reach;
use pelton_gateway::{Endpoint, Price, Release, Share, Snapshot, Target};
use pelton_ids::{Digest, ReleaseId};
use pelton_llm_types::{Sampling, Stop};
use pelton_metadata::{self as store, Model, ModelKind, Page, Store};
use pelton_secrets::Redacted;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Everything stored that decides a route.
pub struct Stored {
    endpoints: Vec<store::Endpoint>,
    releases: Vec<store::Release>,
    models: Vec<Model>,
    rollouts: Vec<store::Rollout>,
    generation: i64,
}

impl Stored {
    /// Reads it.
    pub async fn read(metadata: &Store, context: &OpContext) -> Result<Self, store::StoreError> {
        // The generation is read first: a change that comes between is seen again.
        let generation = metadata.config_generation().await?;
        let mut models = Vec::new();
        let mut page = Page::first(store::MAX_PAGE);
        loop {
            let listed = metadata.model_list(context, None, &page).await?;
            models.extend(listed.items);
            let Some(cursor) = listed.next_cursor else { break };
            page.cursor = Some(cursor);
        }
        let mut releases = Vec::new();
        let mut page = Page::first(store::MAX_PAGE);
        loop {
            let listed = metadata.release_list(context, &page).await?;
            releases.extend(listed.items);
            let Some(cursor) = listed.next_cursor else { break };
            page.cursor = Some(cursor);
        }
        Ok(Self {
            endpoints: metadata.endpoint_list(context).await?,
            releases,
            models,
            rollouts: metadata.rollout_list_running(context).await?,
            generation,
        })
    }

    /// Bases that must be served: those behind endpoints and rollouts, and `always`.
    pub fn bases(&self, always: Option<&str>) -> BTreeSet<String> {
        let answering = self.answering();
        let used = self.releases.iter().filter(|release| answering.contains(&release.id));
        used.filter_map(|release| release.bundle.model.clone())
            .chain(always.map(str::to_owned))
            .collect()
    }

    fn answering(&self) -> BTreeSet<ReleaseId> {
        let split = self.endpoints.iter().flat_map(|endpoint| &endpoint.traffic);
        let rolling =
            self.rollouts.iter().flat_map(|rollout| [rollout.baseline, rollout.candidate]);
        split.map(|share| share.release_id).chain(rolling).collect()
    }

    /// Adapters of `base` that should be loaded: those that answer, then the newest, up to `most`.
    pub fn adapters(&self, base: &str, most: usize) -> Vec<&Model> {
        let answering = self.answering();
        let needed: BTreeSet<&str> = self
            .releases
            .iter()
            .filter(|release| answering.contains(&release.id))
            .filter_map(|release| release.bundle.adapter.as_deref())
            .collect();
        let mut of_base: Vec<&Model> = self
            .models
            .iter()
            .filter(|model| model.kind == ModelKind::Adapter && model.base.as_deref() == Some(base))
            .collect();
        // Stable: models are listed newest first.
        of_base.sort_by_key(|model| !needed.contains(model.reference.as_str()));
        of_base.truncate(most.max(needed.len()));
        of_base
    }

    /// The model `reference`.
    pub fn model(&self, reference: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.reference == reference)
    }
}

/// The keys of providers, read from the environment at start.
pub type ProviderKeys = BTreeMap<String, Redacted<String>>;

/// The snapshot for what is stored, the engines that answer, and the configured providers.
pub fn plan(
    stored: &Stored,
    serving: &[Serving],
    providers: &BTreeMap<String, Provider>,
    keys: &ProviderKeys,
) -> Snapshot {
    let engine_target = |base: &str, model: &str| {
        let answers = serving.iter().find(|one| {
            one.base == base && (model == base || one.adapters.iter().any(|it| it == model))
        });
        Target {
            name: "engine".into(),
            base_url: answers.map(|one| one.url.clone()),
            model: model.into(),
            api_key: answers.map(|one| one.token.clone()),
            reach: Reach::Private,
            price: None,
        }
    };
    let releases: HashMap<ReleaseId, Arc<Release>> = stored
        .releases
        .iter()
        .map(|release| {
            let bundle = &release.bundle;
            let targets = match (&bundle.model, &bundle.upstream) {
                (Some(base), _) => {
                    vec![engine_target(base, bundle.adapter.as_deref().unwrap_or(base))]
                }
                (None, Some(upstream)) => {
                    upstream_target(upstream, providers, keys).into_iter().collect()
                }
                (None, None) => vec![],
            };
            let planned = Release {
                id: release.id,
                name: release.name.clone(),
                targets,
                sampling: sampling(bundle.sampling.as_ref()),
                system_prompt: bundle.system_prompt.clone(),
            };
            (release.id, Arc::new(planned))
        })
        .collect();
    let endpoints: HashMap<String, Endpoint> = stored
        .endpoints
        .iter()
        .map(|endpoint| {
            let traffic = endpoint
                .traffic
                .iter()
                .map(|share| Share { release: share.release_id, weight: share.weight })
                .collect();
            let planned =
                Endpoint { name: endpoint.name.clone(), created: endpoint.created_at, traffic };
            (endpoint.name.clone(), planned)
        })
        .collect();
    let models: HashMap<String, Target> = stored
        .models
        .iter()
        .map(|model| {
            let base = model.base.as_deref().unwrap_or(&model.reference);
            (model.reference.clone(), engine_target(base, &model.reference))
        })
        .collect();
    Snapshot {
        endpoints,
        releases,
        models,
        config_hash: config_hash(stored),
        generation: stored.generation,
    }
}

fn upstream_target(
    upstream: &store::Upstream,
    providers: &BTreeMap<String, Provider>,
    keys: &ProviderKeys,
) -> Option<Target> {
    let provider = providers.get(&upstream.provider)?;
    let price = match (provider.prompt_nanousd_per_million, provider.completion_nanousd_per_million)
    {
        (Some(prompt), Some(completion)) => Some(Price {
            prompt_nanousd_per_million: prompt,
            completion_nanousd_per_million: completion,
        }),
        _ => None,
    };
    Some(Target {
        name: upstream.provider.clone(),
        base_url: Some(provider.base_url.clone()),
        model: upstream.model.clone(),
        api_key: keys.get(&upstream.provider).cloned(),
        reach: if provider.allow_private { Reach::Private } else { Reach::Public },
        price,
    })
}

fn sampling(stored: Option<&store::Sampling>) -> Sampling {
    let Some(store::Sampling { temperature, top_p, top_k, max_tokens, seed, stop }) = stored else {
        return Sampling::default();
    };
    Sampling {
        temperature: *temperature,
        top_p: *top_p,
        top_k: *top_k,
        max_tokens: *max_tokens,
        seed: *seed,
        stop: stop.clone().map(Stop::Many),
    }
}

/// Names what is routed to: equal configurations have equal hashes.
fn config_hash(stored: &Stored) -> String {
    let mut lines: Vec<String> = stored
        .endpoints
        .iter()
        .map(|endpoint| format!("{} {:?}", endpoint.name, endpoint.traffic))
        .chain(stored.releases.iter().map(|release| format!("{} {}", release.id, release.digest)))
        .collect();
    lines.sort_unstable();
    Digest::of(lines.join("\n").as_bytes()).hex()[..16].to_owned()
}

/// How often the configuration's generation is looked at, for changes by other nodes.
const POLL: Duration = Duration::from_secs(2);

/// What [`keep_current`] works with.
pub struct Keeper {
    /// Where the configuration is stored.
    pub metadata: Store,
    /// On whose behalf it is read.
    pub context: OpContext,
    /// The engines that it wants.
    pub engines: Arc<Engines>,
    /// The configured providers.
    pub providers: BTreeMap<String, Provider>,
    /// Their keys.
    pub keys: ProviderKeys,
    /// What the gateway routes by.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
}

/// Brings the snapshot up to date whenever the configuration or an engine changes, for good.
pub async fn keep_current(keeper: Keeper) {
    let mut changes = keeper.metadata.config_changes();
    let mut engines = keeper.engines.changes();
    loop {
        changes.borrow_and_update();
        engines.borrow_and_update();
        match Stored::read(&keeper.metadata, &keeper.context).await {
            Ok(stored) => {
                keeper.engines.want(&stored);
                let serving = keeper.engines.serving();
                let planned = plan(&stored, &serving, &keeper.providers, &keeper.keys);
                keeper.snapshot.store(Arc::new(planned));
            }
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be read; the last one serves on");
            }
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = engines.changed() => {}
            () = tokio::time::sleep(POLL) => {
                // Another node's change shows in the stored generation, which wakes `changes`.
                if let Err(error) = keeper.metadata.config_generation().await {
                    tracing::warn!(%error, "the configuration's generation cannot be read");
                }
            }
        }
    }
}
