//! What the writer, the sealer and the readers share: the list of what is readable right now.

use crate::catalog::PartCatalog;
use crate::part_files::PartFiles;
use crate::segment::Segment;
use crate::store::StoreOptions;
use pelton_context::Clock;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};

/// Everything readable at one moment: each record is in exactly one of these.
///
/// Who holds a view keeps its files from being removed.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Hot segments, oldest first.
    pub segments: Vec<Arc<Segment>>,
    /// Sealed parts, in the order of sealing.
    pub parts: Vec<Arc<PartFiles>>,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalog: Arc<dyn PartCatalog>,
    /// The name, as a number, of the latest segment there ever was.
    pub(crate) last_segment: AtomicI64,
    view: RwLock<Arc<View>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        folder: PathBuf,
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        catalog: Arc<dyn PartCatalog>,
        last_segment: i64,
        view: View,
    ) -> Self {
        let last_segment = AtomicI64::new(last_segment);
        Self { folder, options, clock, catalog, last_segment, view: RwLock::new(Arc::new(view)) }
    }

    pub(crate) fn hot_folder(&self) -> PathBuf {
        self.folder.join("hot")
    }

    pub(crate) fn part_folder(&self) -> PathBuf {
        self.folder.join("parts")
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = View::clone(&view);
        change(&mut next);
        *view = Arc::new(next);
    }

    pub(crate) fn show_segment(&self, segment: &Arc<Segment>) {
        self.change(|view| view.segments.push(Arc::clone(segment)));
    }

    /// The part takes the segment's place, for every view from here on.
    pub(crate) fn replace(&self, segment: &Segment, part: Arc<PartFiles>) {
        self.change(|view| {
            view.segments.retain(|shown| shown.name != segment.name);
            view.parts.push(part);
        });
    }

    pub(crate) fn hide_parts(&self, part_ids: &[String]) {
        self.change(|view| view.parts.retain(|shown| !part_ids.contains(&shown.part.part_id)));
    }
}
