//! Token embeddings: rows gathered, and their gradients added back.

use crate::Real;

/// Copies the row of each token: `y` is `[tokens, width]`, `table` is `[vocab, width]`.
///
/// # Panics
/// When a token is not in the table; callers check tokens where they enter.
pub fn embedding_forward<T: Real>(y: &mut [T], table: &[T], tokens: &[u32], width: usize) {
    for (row, &token) in y.chunks_exact_mut(width).zip(tokens) {
        let start = token as usize * width;
        row.copy_from_slice(&table[start..start + width]);
    }
}

/// Adds each token's gradient to its row of the table's gradient.
///
/// # Panics
/// When a token is not in the table.
pub fn embedding_backward<T: Real>(dtable: &mut [T], dy: &[T], tokens: &[u32], width: usize) {
    for (dy, &token) in dy.chunks_exact(width).zip(tokens) {
        let start = token as usize * width;
        let row = &mut dtable[start..start + width];
        row.iter_mut().zip(dy).for_each(|(row, dy)| *row += *dy);
    }
}
