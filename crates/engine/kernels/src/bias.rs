//! Biases of linear layers.

use crate::Real;

/// `y += b` for each row of `y`, `[rows, out]`.
pub fn add_bias<T: Real>(y: &mut [T], bias: &[T]) {
    for row in y.chunks_exact_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(y, bias)| *y += *bias);
    }
}

/// `db += Σ dy` over the rows of `dy`, `[rows, out]`.
pub fn bias_backward<T: Real>(dbias: &mut [T], dy: &[T]) {
    for row in dy.chunks_exact(dbias.len().max(1)) {
        dbias.iter_mut().zip(row).for_each(|(dbias, dy)| *dbias += *dy);
    }
}
