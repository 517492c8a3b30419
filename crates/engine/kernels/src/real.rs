//! The two floating-point types that operators run on.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Smaller than every score.
    const LOWEST: Self;

    /// The nearest value.
    fn of(value: f64) -> Self;
    /// A small whole number.
    fn of_byte(value: i8) -> Self;
    /// The same value, wider.
    fn as_f64(self) -> f64;
    /// Square root.
    fn root(self) -> Self;
    /// `e` to this power, to within a few units in the last place. Branch-free for `f32`, so that
    /// loops over it vectorize.
    fn exponential(self) -> Self;
    /// Natural logarithm.
    fn logarithm(self) -> Self;
    /// The larger of two.
    fn larger(self, other: Self) -> Self;
    /// `self * factor + term` in one rounding.
    fn times_plus(self, factor: Self, term: Self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = Self::MIN;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn of_byte(value: i8) -> Self {
        Self::from(value)
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        // 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2; polynomial of Cephes' expf.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.0, 88.0);
        let n = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
        let r = n.mul_add(-0.693_359_4, x);
        let r = n.mul_add(2.121_944_4e-4, r);
        let p = 1.987_569_1e-4_f32
            .mul_add(r, 1.398_199_9e-3)
            .mul_add(r, 8.333_452e-3)
            .mul_add(r, 4.166_579_6e-2)
            .mul_add(r, 1.666_666_5e-1)
            .mul_add(r, 0.5);
        let y = (r * r).mul_add(p, r) + 1.0;
        // The adder's low bits hold n: shifted into the exponent they multiply by 2^n.
        let bits = (n + ROUND).to_bits() << 23;
        f32::from_bits(y.to_bits().wrapping_add(bits))
    }

    #[inline(always)]
    fn logarithm(self) -> Self {
        self.ln()
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = Self::MIN;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn of_byte(value: i8) -> Self {
        Self::from(value)
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn logarithm(self) -> Self {
        self.ln()
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
}

/// Lanes of the accumulators below: as many `f32` as the widest register holds.
const LANES: usize = 16;

/// Sum of products, in a fixed order.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].times_plus(b[lane], lanes[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).fold(T::ZERO, |sum, (a, b)| a.times_plus(*b, sum));
    sum_lanes(lanes) + rest
}

/// Largest element, [`Real::LOWEST`] for none.
#[inline(always)]
pub(crate) fn maximum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::LOWEST; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].larger(chunk[lane]);
        }
    }
    lanes.iter().chain(rest).fold(T::LOWEST, |max, value| max.larger(*value))
}

/// Replaces every `x` by `exp(scale · x − shift)` and returns their sum.
#[inline(always)]
pub(crate) fn exponentials<T: Real>(values: &mut [T], scale: T, shift: T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let value = chunk[lane].times_plus(scale, -shift).exponential();
            chunk[lane] = value;
            lanes[lane] += value;
        }
    }
    let mut sum = sum_lanes(lanes);
    for value in rest {
        *value = value.times_plus(scale, -shift).exponential();
        sum += *value;
    }
    sum
}

#[inline(always)]
fn sum_lanes<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}
