//! The orthogonalized momentum of Muon (Jordan 2024): five Newton-Schulz steps push every singular
//! value of a matrix toward one.

use crate::matmul::{Into, Matrix, MatrixMut, matmul};
use crate::{Real, scale, sum_of_squares};

const STEPS: usize = 5;
/// Coefficients of `x ↦ a x + b x³ + c x⁵`, chosen by Jordan for speed of convergence.
const A: f64 = 3.4445;
const B: f64 = -4.7750;
const C: f64 = 2.0315;

/// Intermediate matrices, kept between calls.
#[derive(Debug, Default)]
pub struct MuonScratch<T> {
    gram: Vec<T>,
    polynomial: Vec<T>,
    next: Vec<T>,
}

/// Replaces `matrix`, `[rows, cols]`, by a nearly orthogonal one with the same singular vectors.
/// Singular values come out between about 0.7 and 1.2; a zero matrix stays zero.
pub fn orthogonalize<T: Real>(
    matrix: &mut [T],
    rows: usize,
    cols: usize,
    scratch: &mut MuonScratch<T>,
) {
    let norm = sum_of_squares(matrix).sqrt();
    if norm == 0.0 {
        return;
    }
    scale(matrix, T::of(1.0 / (norm * 1.000_001)));
    let small = rows.min(cols);
    scratch.gram.resize(small * small, T::ZERO);
    scratch.polynomial.resize(small * small, T::ZERO);
    scratch.next.resize(matrix.len(), T::ZERO);
    for _ in 0..STEPS {
        newton_schulz_step(matrix, rows, cols, scratch);
    }
}

/// `X ← a X + (b G + c G²) X` with `G = X Xᵀ`, or the same from the right when `X` is tall.
fn newton_schulz_step<T: Real>(
    matrix: &mut [T],
    rows: usize,
    cols: usize,
    scratch: &mut MuonScratch<T>,
) {
    let small = rows.min(cols);
    let x = Matrix::new(&*matrix, rows, cols);
    let (left, right) = if rows <= cols { (x, x.transposed()) } else { (x.transposed(), x) };
    let MuonScratch { gram, polynomial, next } = scratch;
    matmul(MatrixMut::new(gram, small, small), Into::Replace, left, right, T::ONE);
    let g = Matrix::new(&*gram, small, small);
    for (to, from) in polynomial.iter_mut().zip(gram.iter()) {
        *to = *from * T::of(B);
    }
    matmul(MatrixMut::new(polynomial, small, small), Into::Add, g, g, T::of(C));
    for (to, from) in next.iter_mut().zip(matrix.iter()) {
        *to = *from * T::of(A);
    }
    let p = Matrix::new(&*polynomial, small, small);
    let (first, second) = if rows <= cols { (p, x) } else { (x, p) };
    matmul(MatrixMut::new(next, rows, cols), Into::Add, first, second, T::ONE);
    matrix.copy_from_slice(next);
}
