//! Rotary position embedding (Su et al. 2021) in Hugging Face's layout: the first half of a head
//! is rotated against its second half.

use crate::Real;

/// Cosines and sines for every position and frequency.
#[derive(Debug, Clone)]
pub struct RopeTable<T> {
    cos: Vec<T>,
    sin: Vec<T>,
    half: usize,
}

impl<T: Real> RopeTable<T> {
    /// A table for `positions` positions. `frequencies` are radians per position for each of a
    /// head's pairs; `scale` multiplies all cosines and sines.
    #[must_use]
    pub fn new(positions: usize, frequencies: &[f64], scale: f64) -> Self {
        let angles = (0..positions).flat_map(|position| {
            frequencies.iter().map(move |frequency| position as f64 * frequency)
        });
        let cos = angles.clone().map(|angle| T::of(angle.cos() * scale)).collect();
        let sin = angles.map(|angle| T::of(angle.sin() * scale)).collect();
        Self { cos, sin, half: frequencies.len() }
    }

    /// Positions that the table covers.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }
}

/// Rotates in place the first `heads` heads of each row of `x`, rows lying `stride` apart.
///
/// # Panics
/// When a position is beyond the table.
pub fn rope_forward<T: Real>(
    x: &mut [T],
    stride: usize,
    heads: usize,
    positions: &[u32],
    table: &RopeTable<T>,
) {
    rotate(x, stride, heads, positions, &table.cos, &table.sin, table.half, T::ONE);
}

/// Rotates a gradient in place, backward.
///
/// # Panics
/// When a position is beyond the table.
pub fn rope_backward<T: Real>(
    dx: &mut [T],
    stride: usize,
    heads: usize,
    positions: &[u32],
    table: &RopeTable<T>,
) {
    rotate(dx, stride, heads, positions, &table.cos, &table.sin, table.half, -T::ONE);
}

vectorized! {
    fn rotate<T>(
        x: &mut [T], stride: usize, heads: usize, positions: &[u32], cos: &[T], sin: &[T],
        half: usize, direction: T,
    ) {
        for (row, &position) in x.chunks_mut(stride).zip(positions) {
            let start = position as usize * half;
            let cos = &cos[start..start + half];
            let sin = &sin[start..start + half];
            for head in row[..heads * half * 2].chunks_exact_mut(half * 2) {
                let (first, second) = head.split_at_mut(half);
                for (((first, second), cos), sin) in
                    first.iter_mut().zip(second).zip(cos).zip(sin)
                {
                    let sin = *sin * direction;
                    let (a, b) = (*first, *second);
                    *first = a * *cos - b * sin;
                    *second = b * *cos + a * sin;
                }
            }
        }
    }
}
