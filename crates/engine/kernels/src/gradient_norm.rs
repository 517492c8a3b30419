//! The norm of a gradient, for clipping.

use crate::Real;
use crate::real::dot;

/// Elements summed in `f32` before the sum goes on in `f64`.
const CHUNK: usize = 4096;

/// Sum of squares, in a fixed order.
#[must_use]
pub fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    values.chunks(CHUNK).map(|chunk| square(chunk).as_f64()).sum()
}

vectorized! {
    fn square<T>(values: &[T]) -> T {
        dot(values, values)
    }
}

vectorized! {
    /// Multiplies every element.
    pub fn scale<T>(values: &mut [T], factor: T) {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}
