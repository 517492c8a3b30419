//! `pelton up`: the server, from the data folder's lock to the last open call.

use crate::authenticator::KeyAuthenticator;
use crate::data_folder::DataFolder;
use crate::engines::{Engines, Workshop};
use crate::job_runner;
use crate::operations::{self, Operations};
use crate::project_config::{Settings, provider_keys};
use crate::randomness::SystemRandom;
use crate::snapshot::{Keeper, keep_current};
use crate::trace_catalog::MetadataCatalog;
use crate::{built_in, collect_artifacts, recorder, rollouts, seal_traces};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use clap::Args;
use pelton_api::Api;
use pelton_artifacts::Artifacts;
use pelton_config::{Authentication, Config, LogFormat};
use pelton_context::{Clock, OpContext, SystemClock};
use pelton_egress::{Egress, EgressSettings};
use pelton_gateway::{Gateway, Limits, Snapshot};
use pelton_metadata::{LeaseClock, Store};
use pelton_openai::OpenAi;
use pelton_telemetry::Metrics;
use pelton_trace_query::TraceEngine;
use pelton_trace_store::{StoreOptions, TraceStore};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The project that calls without a key belong to.
const PROJECT: &str = "default";

/// How `up` is told what to do.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

/// Runs the server until it is told to stop.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    let format = match config.log.format {
        LogFormat::Pretty => pelton_telemetry::LogFormat::Pretty,
        LogFormat::Json => pelton_telemetry::LogFormat::Json,
    };
    pelton_telemetry::init(format, &config.log.filter)?;
    crate::runtime(config.server.worker_threads)?.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let folder = DataFolder::open(&config.server.data)?;
    // Bound first: jobs and the console are told this address.
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    let key_required =
        config.server.authentication == Authentication::Required || !address.ip().is_loopback();

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new());
    let egress = Arc::new(Egress::new(EgressSettings {
        connect: Duration::from_millis(config.gateway.connect_ms),
        ..EgressSettings::default()
    }));
    let metadata = open_metadata(&config, &folder, clock.clone()).await?;
    let artifacts = Artifacts::open(&folder.artifacts())?;
    let project = metadata.project_ensure(PROJECT).await?;
    let context = OpContext::system(project.id);
    let catalog = Arc::new(MetadataCatalog::new(metadata.clone()));
    let traces =
        TraceStore::open(&folder.traces(), catalog, clock.clone(), trace_options(&config)).await?;
    let writer = traces.writer();

    let always = if config.engine.enabled {
        let downloads = folder.downloads();
        Some(built_in::register(&config, &metadata, &artifacts, &context, &downloads).await?)
    } else {
        None
    };
    let engines = Engines::new(always);
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let keeper = Keeper {
        metadata: metadata.clone(),
        context: context.clone(),
        engines: engines.clone(),
        keys: provider_keys(&config.providers)?,
        providers: config.providers.clone(),
        snapshot: snapshot.clone(),
    };
    let (records, recorded) = pelton_gateway::channel(config.traces.queue);
    let gateway = Arc::new(Gateway::new(
        snapshot,
        Arc::new(records),
        egress.clone(),
        limits(&config),
        clock.clone(),
        &metrics,
    ));
    let authenticator = Arc::new(KeyAuthenticator::new(metadata.clone(), project.id, key_required));
    let api = Arc::new(Api {
        store: metadata.clone(),
        artifacts: artifacts.clone(),
        trace_writer: writer.clone(),
        traces: Arc::new(TraceEngine::new(traces.clone())),
        authenticator: authenticator.clone(),
        engine: engines.clone(),
        random: Arc::new(SystemRandom),
        started_at: clock.now(),
        version: env!("CARGO_PKG_VERSION"),
        max_body_bytes: config.server.max_body_bytes,
        max_blob_bytes: config.server.max_blob_bytes,
    });
    let operations = Arc::new(Operations {
        metadata: metadata.clone(),
        metrics,
        writer: writer.clone(),
        engines: engines.clone(),
    });

    let workshop = Arc::new(Workshop {
        artifacts: artifacts.clone(),
        folder: folder.engine(),
        config: config.clone(),
        egress: egress.clone(),
    });
    let url = format!("http://{address}");
    let recording = tokio::spawn(recorder::record_calls(recorded, writer));
    let mut background = tokio::task::JoinSet::new();
    background.spawn(keep_current(keeper));
    background.spawn(engines.keep(workshop));
    background.spawn(rollouts::drive(metadata.clone(), traces.clone(), context.clone()));
    background.spawn(collect_artifacts::keep_collected(
        artifacts,
        metadata.clone(),
        context,
        clock.clone(),
    ));
    background.spawn(seal_traces::keep_sealed(traces.clone(), clock, config.traces.retention_days));
    let jobs =
        job_runner::start(&config, &folder, metadata.clone(), authenticator.clone(), &url).await?;

    let openai = pelton_openai::router(OpenAi {
        gateway: gateway.clone(),
        authenticator,
        max_body_bytes: config.server.max_body_bytes,
    });
    let application = Router::new()
        .merge(openai)
        .merge(pelton_api::router(api.clone()))
        .merge(operations::router(operations))
        .fallback_service(pelton_console::router())
        .layer(from_fn_with_state(api, pelton_api::guard_origin))
        .layer(from_fn(pelton_api::name_request));
    folder.announce(&url)?;
    tracing::info!(%url, data = %config.server.data.display(), key_required, "ready");
    let stopping =
        axum::serve(listener, application).with_graceful_shutdown(stop_signal()).into_future();
    let grace = Duration::from_secs(config.server.shutdown_seconds);
    stop_within(grace, stopping).await?;

    tracing::info!("stopping: no new calls, open ones end");
    if tokio::time::timeout(grace, gateway.drain()).await.is_err() {
        tracing::warn!("calls were still open after {grace:?} and are cut off");
    }
    jobs.shutdown().await;
    background.shutdown().await;
    drop(gateway);
    // The gateway's end of the channel is gone: what is still in it is written, then this ends.
    if tokio::time::timeout(grace, recording).await.is_err() {
        tracing::warn!("some records were still on their way when the time was up");
    }
    traces.shutdown().await;
    metadata.close().await;
    Ok(())
}

async fn open_metadata(
    config: &Config,
    folder: &DataFolder,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Store> {
    let url = config.metadata.url.expose();
    if url.is_empty() {
        return Ok(Store::open_sqlite(&folder.metadata(), clock).await?);
    }
    Store::open_postgres(url, clock, LeaseClock::Database)
        .await
        .context("cannot open the PostgreSQL database of metadata.url")
}

fn trace_options(config: &Config) -> StoreOptions {
    StoreOptions {
        queue_records: config.traces.queue,
        group_commit: Duration::from_millis(config.traces.commit_ms),
        seal_rows: i64::try_from(config.traces.seal_rows).unwrap_or(i64::MAX),
        seal_age: Duration::from_secs(config.traces.seal_minutes * 60),
        ..StoreOptions::default()
    }
}

fn limits(config: &Config) -> Limits {
    let gateway = &config.gateway;
    Limits {
        max_in_flight: config.server.max_in_flight,
        first_token: Duration::from_millis(gateway.first_token_ms),
        idle: Duration::from_millis(gateway.idle_ms),
        total: Duration::from_millis(gateway.total_ms),
        retries: gateway.retries,
        ..Limits::default()
    }
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; the server runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Runs the server; after a stop signal it has `grace` to let open calls end.
async fn stop_within(
    grace: Duration,
    server: impl Future<Output = std::io::Result<()>>,
) -> anyhow::Result<()> {
    let cut_off = async {
        stop_signal().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = cut_off => {
            tracing::warn!("connections were still open after {grace:?} and are cut off");
            Ok(())
        }
    }
}
