//! Places where a test may let the store fail, as a crash or a full disk would.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A moment at which something durable is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The writer commits a batch.
    Commit,
    /// The sealer writes the narrow columns.
    WriteNarrow,
    /// The sealer writes the payloads.
    WritePayload,
    /// The sealer writes the feedback.
    WriteFeedback,
    /// The sealer renames its files to their names.
    Rename,
    /// The sealer commits the part to the catalog.
    Catalog,
    /// The part is in the catalog; the segment is about to go.
    DropSegment,
}

impl Step {
    /// The steps of sealing, in order.
    pub const SEALING: [Self; 6] = [
        Self::WriteNarrow,
        Self::WritePayload,
        Self::WriteFeedback,
        Self::Rename,
        Self::Catalog,
        Self::DropSegment,
    ];
}

type Hook = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// Decides, step by step, whether the store fails. The default never lets it.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl Faults {
    /// Fails wherever `hook` returns an error.
    #[must_use]
    pub fn when(hook: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn at(&self, step: Step) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook(step))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Faults(hook)" } else { "Faults(none)" })
    }
}
