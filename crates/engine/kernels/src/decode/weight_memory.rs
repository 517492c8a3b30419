//! Memory of packed weights, which every step reads from its start to its end.
//!
//! On a small page a reader stops at every fourth kilobyte to look the next one up; with huge pages, where the
//! system grants them, the same weights are read a quarter faster. Single matrices are too small for huge
//! pages of their own, so that a model's matrices lie together in slabs.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::MmapMut;

use super::lane::{LANE, Lane};

/// A cache line of packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

/// Lines of the first slab; each next one is twice as long, up to [`LARGEST`].
const SMALLEST: usize = 1 << 14;
/// Lines of the longest slabs, 64 MiB; a matrix that is larger has one of its own.
const LARGEST: usize = 1 << 20;
/// From this many lines on, 8 MiB, huge pages are asked for: small models would grow by them.
const HUGE: usize = 1 << 17;

/// Where a model's packed weights lie together. What was handed out keeps its slab alive.
#[derive(Debug, Default)]
pub struct WeightMemory {
    current: Option<Arc<MmapMut>>,
    taken: usize,
    next: usize,
}

impl WeightMemory {
    /// Lines of zeros.
    #[expect(unsafe_code, reason = "parts of a slab have owners of their own")]
    pub(super) fn take(&mut self, lines: usize) -> Weights {
        if lines == 0 {
            return Weights { start: std::ptr::NonNull::dangling(), lines, _slab: None };
        }
        let room = |slab: &Arc<MmapMut>| slab.len() / size_of::<Line>();
        let slab = match &self.current {
            Some(slab) if self.taken + lines <= room(slab) => Arc::clone(slab),
            _ => {
                self.next = (self.next * 2).clamp(SMALLEST, LARGEST);
                self.taken = 0;
                let slab = Arc::new(slab(self.next.max(lines)));
                self.current = Some(Arc::clone(&slab));
                slab
            }
        };
        // SAFETY: the lines lie within the slab, as was just looked at.
        let start = unsafe { slab.as_ptr().cast::<Line>().cast_mut().add(self.taken) };
        self.taken += lines;
        let start = std::ptr::NonNull::new(start).unwrap_or(std::ptr::NonNull::dangling());
        Weights { start, lines, _slab: Some(slab) }
    }
}

/// Maps a slab; the system fills it with zeros, and gives it memory as it is first written.
fn slab(lines: usize) -> MmapMut {
    #[expect(clippy::expect_used, reason = "as for any other allocation, there is no way on")]
    let slab = MmapMut::map_anon(lines * size_of::<Line>()).expect("memory for weights");
    #[cfg(target_os = "linux")]
    if lines >= HUGE {
        // Without them it is slower; nothing else.
        let _ = slab.advise(memmap2::Advice::HugePage);
    }
    slab
}

/// Lines of a slab that nobody else reaches.
#[derive(Debug)]
pub(super) struct Weights {
    start: std::ptr::NonNull<Line>,
    lines: usize,
    _slab: Option<Arc<MmapMut>>,
}

#[expect(unsafe_code, reason = "pointers are not Send by themselves")]
// SAFETY: the lines are this one's own, and plain bytes.
unsafe impl Send for Weights {}
#[expect(unsafe_code, reason = "pointers are not Sync by themselves")]
// SAFETY: as above; they change through `&mut` alone.
unsafe impl Sync for Weights {}

impl Deref for Weights {
    type Target = [Line];

    #[expect(unsafe_code, reason = "lines of a slab")]
    fn deref(&self) -> &[Line] {
        // SAFETY: the slab is mapped as long as `self` lives, page-aligned, full of initialized bytes, and
        // these lines of it were handed out once.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.lines) }
    }
}

impl DerefMut for Weights {
    #[expect(unsafe_code, reason = "lines of a slab")]
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.lines) }
    }
}

impl Line {
    /// Its bytes as 16 floats.
    pub(super) fn floats(&self) -> Lane {
        let (floats, _) = self.0.as_chunks::<4>();
        Lane(std::array::from_fn::<f32, LANE, _>(|at| f32::from_ne_bytes(floats[at])))
    }

    /// Its bytes as 32 numbers of 16 bits.
    pub(super) fn halves(&self) -> &[[u8; 2]] {
        self.0.as_chunks().0
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, Line, SMALLEST, WeightMemory};

    #[test]
    fn parts_are_zeros_apart_and_outlive_the_memory() {
        let mut memory = WeightMemory::default();
        let sizes = [3, SMALLEST, 0, 2 * SMALLEST, LARGEST + 1, 5];
        let mut parts: Vec<_> = sizes.into_iter().map(|lines| memory.take(lines)).collect();
        drop(memory);
        for (at, part) in (1..).zip(&mut parts) {
            assert!(part.iter().all(|line| line.0 == [0; 64]));
            part.fill(Line([at; 64]));
        }
        for ((at, part), size) in (1..).zip(&parts).zip(sizes) {
            assert_eq!(part.len(), size);
            assert!(part.iter().all(|line| line.0 == [at; 64]));
        }
    }
}
