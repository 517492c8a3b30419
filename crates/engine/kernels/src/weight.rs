//! A linear layer's weights as training finds them: floats, or frozen in 8 bits.

use crate::linear::{linear_backward_input, linear_forward};
use crate::matmul::{Into, Matrix, MatrixMut, matmul};
use crate::{Q8Matrix, Real, embedding_forward};

/// Rows of an 8-bit matrix that exist as floats at the same time.
const ROWS: usize = 256;

/// A `[out, in]` weight.
#[derive(Debug, Clone, Copy)]
pub enum Weight<'a, T> {
    /// Row-major floats.
    Dense(&'a [T]),
    /// 8 bits, read in blocks of rows.
    Q8(&'a Q8Matrix),
}

impl<T: Real> Weight<'_, T> {
    /// Number of outputs, for rows of `input`.
    #[must_use]
    pub fn outputs(self, input: usize) -> usize {
        match self {
            Self::Dense(weight) => weight.len() / input,
            Self::Q8(matrix) => matrix.rows(),
        }
    }

    /// `y = x Wᵀ`, or `y += x Wᵀ`: `x` is `[rows, in]`, `y` is `[rows, out]`. `scratch` holds rows of an
    /// 8-bit matrix.
    pub fn forward(
        self,
        y: &mut [T],
        into: Into,
        x: &[T],
        rows: usize,
        input: usize,
        scratch: &mut Vec<T>,
    ) {
        match self {
            Self::Dense(weight) if into == Into::Replace => {
                linear_forward(y, x, weight, rows, input);
            }
            Self::Dense(weight) => {
                let out = weight.len() / input;
                matmul(
                    MatrixMut::new(y, rows, out),
                    into,
                    Matrix::new(x, rows, input),
                    Matrix::new(weight, out, input).transposed(),
                    T::ONE,
                );
            }
            Self::Q8(matrix) => {
                let out = matrix.rows();
                over_blocks(matrix, scratch, |first, count, block| {
                    matmul(
                        MatrixMut::strided(&mut y[first..], rows, count, out),
                        into,
                        Matrix::new(x, rows, input),
                        Matrix::new(block, count, input).transposed(),
                        T::ONE,
                    );
                });
            }
        }
    }

    /// `dx = dy W`, or `dx += dy W`.
    pub fn backward_input(
        self,
        dx: &mut [T],
        into: Into,
        dy: &[T],
        rows: usize,
        input: usize,
        scratch: &mut Vec<T>,
    ) {
        match self {
            Self::Dense(weight) => linear_backward_input(dx, into, dy, weight, rows, input),
            Self::Q8(matrix) => {
                let out = matrix.rows();
                over_blocks(matrix, scratch, |first, count, block| {
                    matmul(
                        MatrixMut::new(dx, rows, input),
                        if first == 0 { into } else { Into::Add },
                        Matrix::strided(&dy[first..], rows, count, out),
                        Matrix::new(block, count, input),
                        T::ONE,
                    );
                });
            }
        }
    }

    /// Copies the row of each token: `y` is `[tokens, width]`.
    ///
    /// # Panics
    /// When a token is not in the table; callers check tokens where they enter.
    pub fn rows_of(self, y: &mut [T], tokens: &[u32], width: usize) {
        match self {
            Self::Dense(table) => embedding_forward(y, table, tokens, width),
            Self::Q8(matrix) => {
                for (row, &token) in y.chunks_exact_mut(width).zip(tokens) {
                    let token = token as usize;
                    matrix.dequantize(token..token + 1, row);
                }
            }
        }
    }
}

/// Calls `with(first row, rows, floats)` for the blocks of a matrix, in order.
fn over_blocks<T: Real>(
    matrix: &Q8Matrix,
    scratch: &mut Vec<T>,
    mut with: impl FnMut(usize, usize, &[T]),
) {
    let needed = ROWS.min(matrix.rows()) * matrix.cols();
    if scratch.len() < needed {
        scratch.resize(needed, T::ZERO);
    }
    for first in (0..matrix.rows()).step_by(ROWS) {
        let count = ROWS.min(matrix.rows() - first);
        let block = &mut scratch[..count * matrix.cols()];
        matrix.dequantize(first..first + count, block);
        with(first, count, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finite_differences::{values, values32};

    #[test]
    fn eight_bits_compute_as_their_floats_do() {
        // More rows than a block of them.
        let (rows, out, input) = (3, 300, 64);
        let mut matrix = Q8Matrix::empty(input).unwrap();
        matrix.extend(&values32(out * input, 1));
        let mut floats = vec![0.0_f64; out * input];
        matrix.dequantize(0..out, &mut floats);
        let (x, dy, mut scratch) = (values(rows * input, 2), values(rows * out, 3), Vec::new());
        for into in [Into::Replace, Into::Add] {
            let run = |weight: Weight<'_, f64>, scratch: &mut Vec<f64>| {
                let (mut y, mut dx) = (vec![0.5; rows * out], vec![0.25; rows * input]);
                weight.forward(&mut y, into, &x, rows, input, scratch);
                weight.backward_input(&mut dx, into, &dy, rows, input, scratch);
                let mut rows = vec![0.0; 2 * input];
                weight.rows_of(&mut rows, &[299, 7], input);
                assert_eq!(weight.outputs(input), out);
                [y, dx, rows].concat()
            };
            let (dense, packed) =
                (run(Weight::Dense(&floats), &mut scratch), run(Weight::Q8(&matrix), &mut scratch));
            assert!(dense.iter().zip(&packed).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }
}
