//! What can go wrong between an address and a folder, split by what the caller can do.

use pelton_egress::EgressError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an operation answers.
pub type Result<T, E = SourceError> = std::result::Result<T, E>;

/// A model that could not be listed or downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address cannot be read.
    #[error("`{text}` is not an address of a model: {reason}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is there.
    #[error("{address} was not found: {advice}")]
    NotFound {
        /// What was asked for.
        address: String,
        /// What to do.
        advice: String,
    },
    /// It is there, or may be, but not for this caller.
    #[error("{address} may not be read: {advice}")]
    Refused {
        /// What was asked for.
        address: String,
        /// What to do.
        advice: String,
    },
    /// Too many requests.
    #[error("{host} takes no more requests for now{}", after(*.wait))]
    Busy {
        /// Who.
        host: String,
        /// How long to wait, where it was said.
        wait: Option<Duration>,
    },
    /// Another answer than expected.
    #[error("{host} answered {status}{detail}")]
    Answer {
        /// Who.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Its own words, with a colon before them; empty without.
        detail: String,
    },
    /// An answer that makes no sense.
    #[error("the answer of {host} cannot be used: {reason}")]
    Unreadable {
        /// Who.
        host: String,
        /// Why.
        reason: String,
    },
    /// A file whose name is not taken.
    #[error("the source names a file `{shown}`, which {reason}: nothing was downloaded")]
    Path {
        /// The name, shortened and without control characters.
        shown: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// More than is taken.
    #[error("the source has {what}, more than the {limit} that are taken")]
    TooMuch {
        /// What there is too much of.
        what: String,
        /// The limit.
        limit: String,
    },
    /// The files do not make up a model, or more than one.
    #[error("{0}")]
    Files(String),
    /// The bytes are not those that the source promised.
    #[error(
        "`{path}` is damaged: its {check} is {found}, but the source promised {expected}; it was thrown away, pull again"
    )]
    Mismatch {
        /// The file.
        path: String,
        /// Which checksum.
        check: &'static str,
        /// What was promised.
        expected: String,
        /// What arrived.
        found: String,
    },
    /// The source has another version of the file than it had listed.
    #[error("`{path}` changed at its source while it was downloaded: pull again")]
    Changed {
        /// The file.
        path: String,
    },
    /// The download ended early.
    #[error("`{path}` broke off after {received} of {size} bytes")]
    Short {
        /// The file.
        path: String,
        /// Bytes that are here.
        received: u64,
        /// Bytes in all.
        size: u64,
    },
    /// The disk has no room.
    #[error("{folder} has {free} bytes free, but {needed} more are to be downloaded: free some space, or give another folder", folder = folder.display())]
    NoSpace {
        /// Where.
        folder: PathBuf,
        /// Bytes to come.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// Two downloads at once.
    #[error("another command is downloading into {folder}: wait for it, or stop it", folder = folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// The network failed.
    #[error(transparent)]
    Network(#[from] EgressError),
    /// A source of the caller's own failed.
    #[error("the source failed")]
    Other {
        /// How.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the same may succeed later.
        transient: bool,
    },
    /// The disk failed.
    #[error("`{path}` cannot be used", path = path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

fn after(wait: Option<Duration>) -> String {
    wait.map_or_else(
        || ": try again later".into(),
        |wait| format!(": try again in {} s", wait.as_secs()),
    )
}

impl SourceError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Short { .. } => true,
            Self::Answer { status, .. } => *status >= 500,
            Self::Network(EgressError::Connect { .. } | EgressError::Broken { .. }) => true,
            Self::Other { transient, .. } => *transient,
            _ => false,
        }
    }

    /// How long the source asks to wait.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait, .. } => *wait,
            _ => None,
        }
    }

    pub(crate) fn unreadable(host: &str, reason: impl Into<String>) -> Self {
        Self::Unreadable { host: host.into(), reason: reason.into() }
    }
}

/// Names the path in an error of the file system.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| SourceError::Disk { path: path.to_owned(), source })
    }
}

/// Runs `work`, which waits for the disk or computes, where that holds nobody up.
pub(crate) async fn on_disk<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).at(path)?
}

/// A text of somebody else's as it may be shown: one line, no control characters, not too long.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let plain = text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it });
    let mut short: String = plain.take(most).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}
