//! Linear layers `y = x Wᵀ` without bias, with weights `[out, in]` as Hugging Face keeps them.

use crate::Real;
use crate::matmul::{Into, Matrix, MatrixMut, matmul};

/// `y = x Wᵀ`: `x` is `[rows, in]`, `y` is `[rows, out]`.
pub fn linear_forward<T: Real>(y: &mut [T], x: &[T], weight: &[T], rows: usize, input: usize) {
    let out = weight.len() / input;
    matmul(
        MatrixMut::new(y, rows, out),
        Into::Replace,
        Matrix::new(x, rows, input),
        Matrix::new(weight, out, input).transposed(),
        T::ONE,
    );
}

/// `dx = dy W`, or `dx += dy W`.
pub fn linear_backward_input<T: Real>(
    dx: &mut [T],
    into: Into,
    dy: &[T],
    weight: &[T],
    rows: usize,
    input: usize,
) {
    let out = weight.len() / input;
    matmul(
        MatrixMut::new(dx, rows, input),
        into,
        Matrix::new(dy, rows, out),
        Matrix::new(weight, out, input),
        T::ONE,
    );
}

/// `dW += dyᵀ x`. Not called for frozen weights: their gradient is never formed.
pub fn linear_backward_weight<T: Real>(
    dweight: &mut [T],
    dy: &[T],
    x: &[T],
    rows: usize,
    input: usize,
) {
    let out = dweight.len() / input;
    matmul(
        MatrixMut::new(dweight, out, input),
        Into::Add,
        Matrix::new(dy, rows, out).transposed(),
        Matrix::new(x, rows, input),
        T::ONE,
    );
}
