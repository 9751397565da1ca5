//! Vectors of f32, in the width that the processor has.
#![allow(unsafe_code)]

/// What the processor can do beyond the least that Rust assumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Level {
    /// 16 numbers at once, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 numbers at once, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    /// The best there is; none where these kernels have no vectors for the processor.
    pub(in crate::ops) fn detect() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// All that the processor has, best first.
    pub(in crate::ops) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("popcnt");
            let levels = [(avx512, Self::Avx512), (avx2, Self::Avx2)];
            levels
                .into_iter()
                .filter_map(|(there, level)| there.then_some(level))
                .collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    pub(in crate::ops) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
        }
    }

    /// How many vectors the processor holds.
    pub(in crate::ops) fn registers(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::REGISTERS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::REGISTERS,
        }
    }
}

/// The few operations that the kernels need.
///
/// # Safety
///
/// Each method needs the processor to have the implementor's instructions, and is inlined into a
/// function that enables them; pointers must be good for `LANES` numbers, at any alignment.
pub(in crate::ops) trait Simd {
    const LANES: usize;
    /// How many vectors the processor holds.
    const REGISTERS: usize;
    type Vector: Copy;

    unsafe fn zero() -> Self::Vector;
    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(vector: Self::Vector, to: *mut f32);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c, rounded once.
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

#[cfg(target_arch = "x86_64")]
pub(in crate::ops) use x86::{Avx2, Avx512, Sse};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    macro_rules! simd {
        ($name:ident: $Vector:ty, $lanes:literal, $registers:literal,
         $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $mul_add:ident) => {
            pub(in crate::ops) struct $name;

            // SAFETY (all methods): the trait's own conditions.
            impl Simd for $name {
                const LANES: usize = $lanes;
                const REGISTERS: usize = $registers;
                type Vector = $Vector;

                #[inline(always)]
                unsafe fn zero() -> $Vector {
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn splat(value: f32) -> $Vector {
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> $Vector {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(vector: $Vector, to: *mut f32) {
                    unsafe { $store(to, vector) }
                }
                #[inline(always)]
                unsafe fn add(a: $Vector, b: $Vector) -> $Vector {
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                unsafe fn mul_add(a: $Vector, b: $Vector, c: $Vector) -> $Vector {
                    unsafe { $mul_add(a, b, c) }
                }
            }
        };
    }

    simd!(Avx512: __m512, 16, 32, _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps,
        _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
    simd!(Avx2: __m256, 8, 16, _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps,
        _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
    // For what is left of the channels; with the fused product that comes with AVX2.
    simd!(Sse: __m128, 4, 16, _mm_setzero_ps, _mm_set1_ps, _mm_loadu_ps,
        _mm_storeu_ps, _mm_add_ps, _mm_fmadd_ps);
}
