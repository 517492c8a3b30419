//! Compiles a plain loop for AVX-512, for AVX2 and for the baseline, and picks one at run time.
//!
//! The binary is built for any x86-64 (or AArch64) machine; the loops below are simple enough for
//! the compiler to vectorize once it may use the wider registers.

/// Defines a function over a generic [`Real`](crate::Real) whose body is compiled for each
/// instruction set.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$T:ident>($($arg:ident: $type:ty),* $(,)?)
     $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "shapes of a kernel are its arguments")]
        $vis fn $name<$T: $crate::Real>($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "shapes of a kernel are its arguments")]
            fn body<$T: $crate::Real>($($arg: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "shapes of a kernel are its arguments")]
                fn with_avx512<$T: $crate::Real>($($arg: $type),*) $(-> $result)? {
                    body::<$T>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "shapes of a kernel are its arguments")]
                fn with_avx2<$T: $crate::Real>($($arg: $type),*) $(-> $result)? {
                    body::<$T>($($arg),*)
                }
                if $crate::vectorize::has_avx512() {
                    // SAFETY: the processor has the features, as was just asked.
                    #[expect(unsafe_code, reason = "calls the copy for this processor")]
                    return unsafe { with_avx512::<$T>($($arg),*) };
                }
                if $crate::vectorize::has_avx2() {
                    // SAFETY: the processor has the features, as was just asked.
                    #[expect(unsafe_code, reason = "calls the copy for this processor")]
                    return unsafe { with_avx2::<$T>($($arg),*) };
                }
            }
            body::<$T>($($arg),*)
        }
    };
}

/// Whether the AVX-512 copies may run.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && has_avx2()
}

/// Whether the AVX2 copies may run.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}
