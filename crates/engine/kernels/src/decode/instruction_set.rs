//! Picks the widest vector instructions of the machine at run time, because the binary is built for
//! the oldest one.

/// What the loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstructionSet {
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add and conversion of 16-bit floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the build's baseline has.
    Baseline,
}

/// The best set of this machine; a cached look-up.
#[inline]
pub(crate) fn instruction_set() -> InstructionSet {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            return InstructionSet::Avx512;
        }
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            return InstructionSet::Avx2;
        }
    }
    InstructionSet::Baseline
}

/// Whether the baseline fuses multiply and add; where it does not, `mul_add` would be a library call.
pub(crate) const BASELINE_FUSES: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// `a * b + c`, fused where the instruction set fuses.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Defines a function that runs `$body` compiled for the machine's instruction set. `$body` is an
/// `#[inline(always)]` function over `const FUSED: bool`.
macro_rules! dispatched {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) = $body:ident;) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "slices with their strides")]
        $visibility fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "slices with their strides")]
            fn with_avx512($($argument: $kind),*) {
                $body::<true>($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "slices with their strides")]
            fn with_avx2($($argument: $kind),*) {
                $body::<true>($($argument),*);
            }
            use $crate::decode::instruction_set::{BASELINE_FUSES, InstructionSet, instruction_set};
            match instruction_set() {
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the instruction set was detected")]
                // SAFETY: `instruction_set` found these features on this machine.
                InstructionSet::Avx512 => unsafe { with_avx512($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the instruction set was detected")]
                // SAFETY: `instruction_set` found these features on this machine.
                InstructionSet::Avx2 => unsafe { with_avx2($($argument),*) },
                InstructionSet::Baseline => $body::<BASELINE_FUSES>($($argument),*),
            }
        }
    };
}
pub(crate) use dispatched;
