//! Sixteen floats on one cache line: the unit in which weights and keys are laid out.

/// Floats per [`Lane`].
pub const LANE: usize = 16;

/// One cache line of floats, aligned so that a vector load never touches two.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Lane(pub [f32; LANE]);

impl Lane {
    /// All zeros.
    pub const ZERO: Self = Self([0.0; LANE]);
}

impl Default for Lane {
    fn default() -> Self {
        Self::ZERO
    }
}
