//! A running child and the ways to end it.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// A running child. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// Held open as long as the child may live: its end tells the child to leave.
    lifeline: Option<ChildStdin>,
    group: Option<i32>,
}

impl ChildProcess {
    pub(crate) fn new(mut child: Child) -> Self {
        let lifeline = child.stdin.take();
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self { child, lifeline, group }
    }

    /// The process id, until the child was seen to end.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The child's standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The child's standard error, once, where it is piped.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the child to end by itself. May be cancelled and called again.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.child.wait().await;
        self.kill_stragglers();
        ended
    }

    /// Asks the child to end (SIGTERM), and kills it when it has not after `grace`.
    ///
    /// # Errors
    /// When the system cannot tell how it ended.
    pub async fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal_group(libc::SIGTERM);
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(ended) => {
                self.kill_stragglers();
                ended
            }
            Err(_) => self.kill().await,
        }
    }

    /// Kills the child and its group at once.
    ///
    /// # Errors
    /// When the system cannot tell how it ended.
    pub async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal_group(libc::SIGKILL);
        self.lifeline = None;
        self.wait().await
    }

    /// What the child started and left behind goes with it.
    fn kill_stragglers(&mut self) {
        if let Some(group) = self.group.take() {
            send(-group, libc::SIGKILL);
        }
        self.lifeline = None;
    }

    fn signal_group(&self, signal: i32) {
        // Before the child was reaped its number cannot belong to anyone else.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
            send(-group, signal);
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.signal_group(libc::SIGKILL);
    }
}

fn send(group: i32, signal: i32) {
    // SAFETY: sends a signal, touches no memory. A group that is gone is an error that we ignore.
    #[expect(unsafe_code, reason = "std can signal a child, but not its group")]
    unsafe {
        libc::kill(group, signal);
    }
}

/// How a process ended, in words: `exit code 3`, `killed by signal 9`.
#[must_use]
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}
