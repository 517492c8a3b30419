//! Blobs that are in use between being stored and being referred to.

use pelton_ids::Digest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps one blob from being collected.
#[derive(Debug)]
pub struct Pin {
    digest: Digest,
    pins: Pins,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<Pinned>>);

#[derive(Debug, Default)]
struct Pinned {
    counts: HashMap<Digest, usize>,
    /// While a collector decides: everything that was pinned at any moment since it began. A pin
    /// that was given up meanwhile may have become a reference that the collector has not seen.
    since: Option<HashSet<Digest>>,
}

/// A collector's decision under way.
pub(crate) struct Deciding<'a>(&'a Pins);

impl Pins {
    pub(crate) fn pin(&self, digest: Digest) -> Pin {
        let mut pinned = self.lock();
        *pinned.counts.entry(digest).or_default() += 1;
        if let Some(since) = &mut pinned.since {
            since.insert(digest);
        }
        drop(pinned);
        Pin { digest, pins: self.clone() }
    }

    /// Begins a decision, before the references are read.
    pub(crate) fn decide(&self) -> Deciding<'_> {
        let mut pinned = self.lock();
        pinned.since = Some(pinned.counts.keys().copied().collect());
        Deciding(self)
    }

    fn lock(&self) -> MutexGuard<'_, Pinned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deciding<'_> {
    /// Runs `remove` unless the blob was pinned since the decision began; it cannot be meanwhile.
    pub(crate) fn unless_pinned<T>(&self, digest: Digest, remove: impl FnOnce() -> T) -> Option<T> {
        let pinned = self.0.lock();
        let kept = pinned.since.as_ref().is_none_or(|since| since.contains(&digest));
        (!kept).then(remove)
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.0.lock().since = None;
    }
}

impl Pin {
    /// The pinned blob.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let counts = &mut self.pins.lock().counts;
        if let Some(count) = counts.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.digest);
            }
        }
    }
}
