//! The life of the process: load, listen, say so, serve, end with the parent.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::reading::ReadingState;
use crate::router::{reading_router, router};
use crate::state::EngineState;
use crate::{Bind, EngineOptions, ServeError};

/// How long running requests may take after a request to end.
const GRACE: Duration = Duration::from_secs(20);

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    NotYet,
    /// Asked to: running requests may finish.
    Graceful,
    /// Nobody is left to answer.
    AtOnce,
}

/// Runs an engine until it is told to end by SIGTERM or SIGINT, or its standard input closes.
///
/// # Errors
/// [`ServeError`] when the model cannot be served or the socket cannot be opened.
pub async fn serve(options: EngineOptions) -> Result<(), ServeError> {
    if let Bind::Tcp(address) = options.bind
        && !address.ip().is_loopback()
    {
        return Err(ServeError::NotLoopback(address));
    }
    // Before loading, so that a parent that dies meanwhile takes this process along.
    let ending = watch_for_the_end(options.exit_with_stdin)?;
    let loading = tokio::task::spawn_blocking({
        let options = options.clone();
        move || Engine::load(&options)
    });
    let engine = tokio::select! {
        loaded = loading => loaded.map_err(|_| ServeError::Interrupted)??,
        () = ended(ending.clone()) => return Ok(()),
    };
    let (about, app) = (engine.about(), engine.router());
    let shutdown = ended(ending.clone());
    let serving = async {
        match &options.bind {
            Bind::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                announce(&listener.local_addr()?.to_string(), about)?;
                // Small writes of a stream must not wait for each other.
                let listener = listener.tap_io(|connection| {
                    let _ = connection.set_nodelay(true);
                });
                axum::serve(listener, app).with_graceful_shutdown(shutdown).await
            }
            Bind::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                announce(&format!("unix:{}", path.display()), about)?;
                axum::serve(listener, app).with_graceful_shutdown(shutdown).await
            }
        }
    };
    let served = tokio::select! {
        served = serving => served.map_err(ServeError::from),
        () = given_up(ending) => Ok(()),
        () = engine.died() => Err(ServeError::Died),
    };
    engine.stop();
    if let Bind::Unix(path) = &options.bind {
        // Nobody listens there any more; a leftover would stop the next start.
        let _ = std::fs::remove_file(path);
    }
    served
}

/// The model that is served.
enum Engine {
    /// It writes text.
    Writing(EngineState),
    /// It makes vectors or scores.
    Reading(ReadingState),
}

impl Engine {
    fn load(options: &EngineOptions) -> Result<Self, ServeError> {
        if ReadingState::is_for(&options.model_dir) {
            return ReadingState::load(options).map(Self::Reading);
        }
        EngineState::load(options).map(Self::Writing)
    }

    fn about(&self) -> Value {
        let (model, context_length) = match self {
            Self::Writing(state) => {
                (state.shared.served_name.as_str(), state.shared.scheduler.context_length())
            }
            Self::Reading(state) => (state.served_name(), state.max_tokens()),
        };
        json!({"model": model, "context_length": context_length})
    }

    fn router(&self) -> Router {
        match self {
            Self::Writing(state) => router(state.clone()),
            Self::Reading(state) => reading_router(state.clone()),
        }
    }

    /// Until a thread that all requests need has failed.
    async fn died(&self) {
        match self {
            Self::Writing(state) => state.shared.scheduler.ended().await,
            Self::Reading(_) => std::future::pending().await,
        }
    }

    fn stop(&self) {
        if let Self::Writing(state) = self {
            state.shared.scheduler.stop();
        }
    }
}

fn announce(address: &str, mut about: serde_json::Value) -> std::io::Result<()> {
    about["ready"] = json!(true);
    about["addr"] = json!(address);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{about}")?;
    out.flush()
}

/// Listens for signals and for the end of standard input.
fn watch_for_the_end(stdin: bool) -> std::io::Result<watch::Receiver<Ending>> {
    let (tell, told) = watch::channel(Ending::NotYet);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let by_signal = tell.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        by_signal.send_replace(Ending::Graceful);
        // A second signal means now.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        by_signal.send_replace(Ending::AtOnce);
    });
    if stdin {
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut buffer = [0; 256];
            let mut input = std::io::stdin().lock();
            while matches!(input.read(&mut buffer), Ok(1..)) {}
            tell.send_replace(Ending::AtOnce);
        })?;
    }
    Ok(told)
}

/// Until some end is wanted.
async fn ended(mut ending: watch::Receiver<Ending>) {
    // An error means that no sender is left, and so none will ever tell.
    if ending.wait_for(|ending| *ending != Ending::NotYet).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until nothing is waited for any more: at once, or the grace after a request to end.
async fn given_up(mut ending: watch::Receiver<Ending>) {
    let mut at_once = ending.clone();
    let now = async move {
        if at_once.wait_for(|ending| *ending == Ending::AtOnce).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let later = async move {
        if ending.wait_for(|ending| *ending == Ending::Graceful).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = now => {}
        () = later => {}
    }
}
