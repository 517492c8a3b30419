//! The embedded engines: one child process for each base model in use, kept running, with the
//! adapters that the configuration wants loaded into it.

use crate::snapshot::Stored;
use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use pelton_api::wire::overview::Engine as EngineOverview;
use pelton_artifacts::Artifacts;
use pelton_config::Config;
use pelton_egress::{Egress, Outbound, Reach};
use pelton_metadata::Model;
use pelton_secrets::{Redacted, api_key_from_random};
use pelton_supervise::{ChildSpec, KeepRunning, Restart, State};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Adapters that an engine holds besides those that answer.
const MOST_ADAPTERS: usize = 256;
/// Bytes of an answer to an administrative request at most.
const LARGEST_ANSWER: usize = 1 << 20;
/// How long to wait before trying anew what failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Calls fail while an engine is away, so it is started again soon, however often it ends.
const RESTART: Restart = Restart {
    base: Duration::from_millis(100),
    max: Duration::from_secs(2),
    stable_after: Duration::from_secs(5),
    grace: Duration::from_secs(5),
};
/// The variable that tells an engine which token its callers must show.
pub const TOKEN_VARIABLE: &str = "PELTON_ENGINE_TOKEN";

/// An engine that answers.
#[derive(Clone)]
pub struct Serving {
    /// The base, `name@version`.
    pub base: String,
    /// The address up to `/v1`.
    pub url: String,
    /// What callers must show.
    pub token: Redacted<String>,
    /// The adapters loaded, `name@version` each.
    pub adapters: BTreeSet<String>,
}

/// What is wanted of one engine.
#[derive(Clone, PartialEq)]
struct Wanted {
    base: Model,
    adapters: Vec<Model>,
}

/// All engines of this server.
pub struct Engines {
    always: Option<String>,
    wanted: watch::Sender<BTreeMap<String, Wanted>>,
    serving: Mutex<BTreeMap<String, Serving>>,
    changes: watch::Sender<u64>,
}

/// What engines are started with.
pub struct Workshop {
    /// Where models are stored.
    pub artifacts: Artifacts,
    /// Where they are laid out.
    pub folder: PathBuf,
    /// How engines are configured.
    pub config: Config,
    /// How their administrative routes are called.
    pub egress: Arc<Egress>,
}

impl Engines {
    /// No engines yet; `always` is served even when no endpoint uses it.
    pub fn new(always: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            always,
            wanted: watch::Sender::new(BTreeMap::new()),
            serving: Mutex::new(BTreeMap::new()),
            changes: watch::Sender::new(0),
        })
    }

    /// Wants what the stored configuration needs.
    pub fn want(&self, stored: &Stored) {
        let wanted: BTreeMap<String, Wanted> = stored
            .bases(self.always.as_deref())
            .into_iter()
            .filter_map(|base| {
                let adapters = stored.adapters(&base, MOST_ADAPTERS).into_iter().cloned().collect();
                let model = stored.model(&base)?.clone();
                Some((base, Wanted { base: model, adapters }))
            })
            .collect();
        self.wanted.send_if_modified(|present| {
            let differs = *present != wanted;
            *present = wanted;
            differs
        });
    }

    /// The engines that answer now.
    pub fn serving(&self) -> Vec<Serving> {
        self.locked().values().cloned().collect()
    }

    /// Wakes whenever [`Engines::serving`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Serving>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, base: &str, serving: Option<Serving>) {
        let mut all = self.locked();
        match serving {
            Some(serving) => all.insert(base.to_owned(), serving),
            None => all.remove(base),
        };
        drop(all);
        self.changes.send_modify(|change| *change += 1);
    }

    /// Starts and stops engines as they are wanted, until the runtime ends.
    pub async fn keep(self: Arc<Self>, workshop: Arc<Workshop>) {
        let mut wanted = self.wanted.subscribe();
        let mut running: BTreeMap<String, tokio::task::JoinHandle<()>> = BTreeMap::new();
        loop {
            let bases: BTreeSet<String> = wanted.borrow_and_update().keys().cloned().collect();
            running.retain(|base, task| {
                let keep = bases.contains(base);
                if !keep {
                    task.abort();
                    self.set(base, None);
                }
                keep
            });
            for base in bases {
                running
                    .entry(base.clone())
                    .or_insert_with(|| tokio::spawn(self.clone().keep_one(base, workshop.clone())));
            }
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Keeps one engine running and its adapters as wanted.
    async fn keep_one(self: Arc<Self>, base: String, workshop: Arc<Workshop>) {
        loop {
            if let Err(error) = self.run_one(&base, &workshop).await {
                tracing::error!(%base, error = format!("{error:#}"), "the engine does not run");
            }
            self.set(&base, None);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn run_one(&self, base: &str, workshop: &Workshop) -> anyhow::Result<()> {
        let mut wanted = self.wanted.subscribe();
        let model = match wanted.borrow_and_update().get(base) {
            Some(wanted) => wanted.base.clone(),
            None => return Ok(()),
        };
        let folder = workshop.lay_out(&model).await?;
        let token = api_key_from_random(crate::randomness::SystemRandom::draw()?);
        let child = KeepRunning::start(workshop.command(&folder, base, &token)?, RESTART);
        let mut state = child.state();
        let mut pid = 0;
        loop {
            let present = state.borrow_and_update().clone();
            let complete = match present {
                State::Ready { pid: now, line } => {
                    if now != pid {
                        pid = now;
                        let adapters = BTreeSet::new();
                        let (base, token) = (base.to_owned(), token.clone());
                        let url = address(&line)?;
                        tracing::info!(%base, %url, pid, "the engine answers");
                        self.set(&base.clone(), Some(Serving { base, url, token, adapters }));
                    }
                    let adapters = wanted
                        .borrow_and_update()
                        .get(base)
                        .map(|wanted| wanted.adapters.clone())
                        .unwrap_or_default();
                    self.load_adapters(base, workshop, &adapters).await
                }
                State::Stopped => return Ok(()),
                State::Starting => true,
                State::Waiting { reason, failures } => {
                    if pid != 0 {
                        pid = 0;
                        self.set(base, None);
                    }
                    tracing::warn!(%base, %reason, failures, "the engine ended and is started again");
                    true
                }
            };
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return Ok(()) },
                changed = wanted.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(PAUSE), if !complete => {}
            }
        }
    }

    /// Brings the adapters of an engine to what is wanted; answers whether that was possible.
    async fn load_adapters(&self, base: &str, workshop: &Workshop, wanted: &[Model]) -> bool {
        let Some(mut serving) = self.locked().get(base).cloned() else { return false };
        let names: BTreeSet<&str> = wanted.iter().map(|model| model.reference.as_str()).collect();
        let stale: Vec<String> = serving
            .adapters
            .iter()
            .filter(|name| !names.contains(name.as_str()))
            .cloned()
            .collect();
        let mut complete = true;
        for name in stale {
            let body = json!({ "lora_name": name });
            match workshop.call(&serving, "/unload_lora_adapter", &body).await {
                Ok(()) => {
                    serving.adapters.remove(&name);
                }
                Err(error) => {
                    complete = false;
                    tracing::warn!(adapter = %name, error = format!("{error:#}"), "an adapter cannot be unloaded");
                }
            }
        }
        for model in wanted {
            let name = &model.reference;
            if serving.adapters.contains(name) {
                continue;
            }
            let loaded = async {
                let folder = workshop.lay_out(model).await?;
                let body = json!({ "lora_name": name, "lora_path": folder });
                workshop.call(&serving, "/load_lora_adapter", &body).await
            };
            match loaded.await {
                Ok(()) => {
                    serving.adapters.insert(name.clone());
                }
                Err(error) => {
                    complete = false;
                    tracing::warn!(adapter = %name, error = format!("{error:#}"), "an adapter cannot be loaded");
                }
            }
        }
        let changed = self.locked().get(base).is_some_and(|now| now.adapters != serving.adapters);
        if changed {
            self.set(base, Some(serving));
        }
        complete
    }
}

impl pelton_api::EngineStatus for Engines {
    fn engine(&self) -> EngineOverview {
        let serving = self.serving();
        let wanted = self.wanted.borrow().len();
        let state = match (wanted, serving.len()) {
            (0, _) if self.always.is_none() => "unavailable",
            (wanted, answering) if answering < wanted.max(1) => "starting",
            _ => "ready",
        };
        EngineOverview {
            state: state.into(),
            models: serving.iter().map(|one| one.base.clone()).collect(),
            adapters: serving.iter().flat_map(|one| one.adapters.iter().cloned()).collect(),
        }
    }
}

/// The address in an engine's first line.
fn address(line: &str) -> anyhow::Result<String> {
    let ready: Value = serde_json::from_str(line).context("the engine's first line is JSON")?;
    let address = ready["addr"].as_str().context("the engine says where it answers")?;
    Ok(format!("http://{address}/v1"))
}

impl Workshop {
    /// Lays a model's files out in a folder of its own.
    async fn lay_out(&self, model: &Model) -> anyhow::Result<PathBuf> {
        let laid_out = self
            .artifacts
            .materialize(model.digest, &self.folder)
            .await
            .with_context(|| format!("cannot lay out {}", model.reference))?;
        Ok(laid_out.folder)
    }

    fn command(
        &self,
        folder: &Path,
        base: &str,
        token: &Redacted<String>,
    ) -> anyhow::Result<ChildSpec> {
        let engine = &self.config.engine;
        let arguments = [
            "engine".to_owned(),
            "serve".to_owned(),
            "--model".to_owned(),
            folder.display().to_string(),
            "--name".to_owned(),
            base.to_owned(),
            "--quantization".to_owned(),
            engine.quantization.to_string(),
            "--threads".to_owned(),
            engine.threads.to_string(),
            "--max-batch".to_owned(),
            engine.max_batch.to_string(),
            "--max-waiting".to_owned(),
            engine.max_waiting.to_string(),
            "--kv-tokens".to_owned(),
            engine.kv_tokens.to_string(),
            format!("--speculative-tokens={}", engine.speculative_tokens),
            "--log-format".to_owned(),
            self.config.log.format.to_string(),
            "--log-filter".to_owned(),
            self.config.log.filter.clone(),
        ];
        let program = std::env::current_exe().context("the path of this program")?;
        Ok(ChildSpec::new(program, arguments).env(TOKEN_VARIABLE, token.expose()))
    }

    /// Calls an administrative route of an engine.
    async fn call(&self, engine: &Serving, route: &str, body: &Value) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut token = HeaderValue::from_str(&format!("Bearer {}", engine.token.expose()))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        let url = format!("{}{route}", engine.url);
        let body = Bytes::from(serde_json::to_vec(body)?);
        let outbound =
            Outbound { method: Method::POST, url: &url, headers, body, reach: Reach::Private };
        let answer = self.egress.send(outbound).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.read(LARGEST_ANSWER).await?;
        anyhow::bail!("the engine answered {status}: {}", String::from_utf8_lossy(&text))
    }
}
