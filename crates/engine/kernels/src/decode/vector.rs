//! Sixteen floats in registers, for loops that the compiler would not vectorize by itself.
//!
//! The trait has one implementation per instruction set. Its methods are only called from functions
//! that were compiled for that set and reached after it was detected.

use super::lane::{LANE, Lane};

/// Sixteen floats; each operation works on all of them.
pub(crate) trait Vector: Copy {
    /// All zeros.
    fn zero() -> Self;
    /// The same value everywhere.
    fn splat(value: f32) -> Self;
    /// Reads a lane.
    fn load(lane: &Lane) -> Self;
    /// Writes a lane.
    fn store(self, lane: &mut Lane);
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn subtract(self, other: Self) -> Self;
    /// `self · other`.
    fn multiply(self, other: Self) -> Self;
    /// `self · factor + summand`, fused where the instruction set fuses.
    fn multiply_add(self, factor: Self, summand: Self) -> Self;
    /// The larger of both.
    fn max(self, other: Self) -> Self;
    /// The smaller of both.
    fn min(self, other: Self) -> Self;
    /// `2ⁿ`, where `n` is the integer in the low bits of `self` after [`ROUND`] was added.
    fn power_of_two(self) -> Self;

    /// `eˣ`; the polynomial of [`exp`](super::activations::exp).
    #[inline(always)]
    fn exp(self) -> Self {
        let x = self.max(Self::splat(-87.3)).min(Self::splat(88.3));
        let shifted = x.multiply_add(Self::splat(std::f32::consts::LOG2_E), Self::splat(ROUND));
        let exponent = shifted.subtract(Self::splat(ROUND));
        let r = exponent.multiply_add(Self::splat(-0.693_359_4), x);
        let r = exponent.multiply_add(Self::splat(2.121_944_4e-4), r);
        let mut p = Self::splat(EXP_COEFFICIENTS[0]);
        for &coefficient in &EXP_COEFFICIENTS[1..] {
            p = p.multiply_add(r, Self::splat(coefficient));
        }
        let p = p.multiply_add(r.multiply(r), r).add(Self::splat(1.0));
        p.multiply(shifted.power_of_two())
    }

    /// The sum of all lanes, always in the same order.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lane = Lane::ZERO;
        self.store(&mut lane);
        lane.0.iter().sum()
    }

    /// The largest of all lanes.
    #[inline(always)]
    fn largest(self) -> f32 {
        let mut lane = Lane::ZERO;
        self.store(&mut lane);
        lane.0.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b))
    }
}

/// 1.5 · 2²³: adding it rounds a small float to an integer, kept in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Cephes' polynomial of `eˣ`, highest power first.
pub(crate) const EXP_COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];

/// Plain floats.
#[derive(Clone, Copy)]
pub(crate) struct Plain<const FUSED: bool>([f32; LANE]);

impl<const FUSED: bool> Plain<FUSED> {
    #[inline(always)]
    fn with(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|at| operation(self.0[at], other.0[at])))
    }
}

impl<const FUSED: bool> Vector for Plain<FUSED> {
    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; LANE])
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANE])
    }
    #[inline(always)]
    fn load(lane: &Lane) -> Self {
        Self(lane.0)
    }
    #[inline(always)]
    fn store(self, lane: &mut Lane) {
        lane.0 = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
    #[inline(always)]
    fn multiply_add(self, factor: Self, summand: Self) -> Self {
        if FUSED {
            Self(std::array::from_fn(|at| self.0[at].mul_add(factor.0[at], summand.0[at])))
        } else {
            self.multiply(factor).add(summand)
        }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.with(other, f32::max)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.with(other, f32::min)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(
            self.0.map(|value| {
                f32::from_bits((value.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
            }),
        )
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Wide256, Wide512};

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod x86 {
    //! Registers of AVX-512, and pairs of registers of AVX2.

    use std::arch::x86_64::*;

    use super::Vector;
    use crate::decode::lane::{LANE, Lane};

    /// One 512-bit register.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide512(__m512);

    /// Two 256-bit registers.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide256(__m256, __m256);

    // SAFETY (all blocks below): these types are only used by functions that were compiled for
    // AVX-512, or for AVX2 with FMA, and are called after the set was detected; loads and stores go
    // through references to aligned lanes.

    impl Vector for Wide512 {
        #[inline(always)]
        fn zero() -> Self {
            Self(unsafe { _mm512_setzero_ps() })
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        fn load(lane: &Lane) -> Self {
            Self(unsafe { _mm512_load_ps(lane.0.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, lane: &mut Lane) {
            unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn multiply_add(self, factor: Self, summand: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, summand.0) })
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { _mm512_min_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn power_of_two(self) -> Self {
            Self(unsafe {
                let bits = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                let one = _mm512_castps_si512(_mm512_set1_ps(1.0));
                _mm512_castsi512_ps(_mm512_add_epi32(bits, one))
            })
        }
    }

    impl Vector for Wide256 {
        #[inline(always)]
        fn zero() -> Self {
            Self::splat(0.0)
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            let half = unsafe { _mm256_set1_ps(value) };
            Self(half, half)
        }
        #[inline(always)]
        fn load(lane: &Lane) -> Self {
            let (low, high) = lane.0.split_at(LANE / 2);
            unsafe { Self(_mm256_load_ps(low.as_ptr()), _mm256_load_ps(high.as_ptr())) }
        }
        #[inline(always)]
        fn store(self, lane: &mut Lane) {
            let (low, high) = lane.0.split_at_mut(LANE / 2);
            unsafe {
                _mm256_store_ps(low.as_mut_ptr(), self.0);
                _mm256_store_ps(high.as_mut_ptr(), self.1);
            }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn multiply_add(self, factor: Self, summand: Self) -> Self {
            unsafe {
                Self(
                    _mm256_fmadd_ps(self.0, factor.0, summand.0),
                    _mm256_fmadd_ps(self.1, factor.1, summand.1),
                )
            }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn power_of_two(self) -> Self {
            let raise = |half| unsafe {
                let bits = _mm256_slli_epi32::<23>(_mm256_castps_si256(half));
                let one = _mm256_castps_si256(_mm256_set1_ps(1.0));
                _mm256_castsi256_ps(_mm256_add_epi32(bits, one))
            };
            Self(raise(self.0), raise(self.1))
        }
    }
}
