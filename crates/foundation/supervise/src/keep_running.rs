//! A child that is started again when it ends.

use crate::child::{ChildProcess, describe_exit};
use crate::spawn::ChildSpec;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The wait after the first end.
    pub base: Duration,
    /// The longest wait; it doubles from end to end.
    pub max: Duration,
    /// A child that was ready for so long starts the doubling anew.
    pub stable_after: Duration,
    /// How long it may take to end when asked to, before it is killed.
    pub grace: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            max: Duration::from_secs(30),
            stable_after: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// How the child is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Started; it has not said that it is ready.
    Starting,
    /// It wrote its first line, which says where it can be reached.
    Ready {
        /// Its process id.
        pid: u32,
        /// The line.
        line: String,
    },
    /// It ended and will be started again.
    Waiting {
        /// How it ended.
        reason: String,
        /// How often it ended since it was last stable.
        failures: u32,
    },
    /// It was stopped for good.
    Stopped,
}

/// A child kept running until it is stopped. Dropping it kills the child.
#[derive(Debug)]
pub struct KeepRunning {
    state: watch::Receiver<State>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl KeepRunning {
    /// Starts `spec` and keeps it running. A child is ready when it has written its first line to
    /// standard output; what it writes there later goes to the log.
    #[must_use]
    pub fn start(spec: ChildSpec, restart: Restart) -> Self {
        let (told, state) = watch::channel(State::Starting);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Keeper { spec, restart, told, stopped }.run());
        Self { state, stop, task }
    }

    /// How the child is, and every change of that.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Stops the child, and does not start it again.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the keeper of a child failed");
        }
    }
}

impl Drop for KeepRunning {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    spec: ChildSpec,
    restart: Restart,
    told: watch::Sender<State>,
    stopped: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            self.told.send_replace(State::Starting);
            let began = Instant::now();
            let reason = match self.spec.spawn().await {
                Err(error) => format!("{error}: {}", error.source),
                Ok(child) => match self.attend(child).await {
                    Some(reason) => reason,
                    None => break,
                },
            };
            let stable = began.elapsed() >= self.restart.stable_after;
            failures = if stable { 1 } else { failures + 1 };
            tracing::warn!(program = %self.spec.program.display(), %reason, failures, "a child ended");
            self.told.send_replace(State::Waiting { reason, failures });
            tokio::select! {
                () = tokio::time::sleep(self.wait(failures)) => {}
                () = told_to_stop(&mut self.stopped) => break,
            }
        }
        self.told.send_replace(State::Stopped);
    }

    fn wait(&self, failures: u32) -> Duration {
        let doubled =
            self.restart.base.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1));
        doubled.min(self.restart.max)
    }

    /// Stays with one child until it ends, answering how; nothing when it was stopped.
    async fn attend(&mut self, mut child: ChildProcess) -> Option<String> {
        let pid = child.id().unwrap_or_default();
        let mut lines = child.take_stdout().map(|out| BufReader::new(out).lines());
        let mut ready = false;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    return Some(ended.map_or_else(|error| error.to_string(), describe_exit));
                }
                () = told_to_stop(&mut self.stopped) => {
                    drop(child.stop(self.restart.grace).await);
                    return None;
                }
                line = next_line(&mut lines) => match line {
                    Some(line) if !ready => {
                        ready = true;
                        self.told.send_replace(State::Ready { pid, line });
                    }
                    Some(line) => tracing::info!(pid, "{line}"),
                    None => lines = None,
                },
            }
        }
    }
}

/// Resolves when the child shall stop, or nobody is left who could say so.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|&stopped| stopped).await);
}

/// The next line; never resolves once there are no more.
async fn next_line(lines: &mut Option<Lines<BufReader<ChildStdout>>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}
