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
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl");
            let levels = [(avx512, Self::Avx512), (avx2, Self::Avx2)];
            levels
                .into_iter()
                .filter_map(|(there, level)| there.then_some(level))
                .collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
        }
    }

    /// How many vectors the processor holds.
    pub(super) fn registers(self) -> usize {
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
pub(super) trait Simd {
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
pub(super) use x86::{Avx2, Avx512, Sse};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    pub(in crate::ops::direct) struct Avx512;

    // SAFETY (all methods): the trait's own conditions.
    impl Simd for Avx512 {
        const LANES: usize = 16;
        const REGISTERS: usize = 32;
        type Vector = __m512;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(vector: __m512, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, vector) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
    }

    pub(in crate::ops::direct) struct Avx2;

    // SAFETY (all methods): the trait's own conditions.
    impl Simd for Avx2 {
        const LANES: usize = 8;
        const REGISTERS: usize = 16;
        type Vector = __m256;

        #[inline(always)]
        unsafe fn zero() -> __m256 {
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(vector: __m256, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, vector) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
    }

    /// For what is left of the channels; with the fused product of AVX2.
    pub(in crate::ops::direct) struct Sse;

    // SAFETY (all methods): the trait's own conditions.
    impl Simd for Sse {
        const LANES: usize = 4;
        const REGISTERS: usize = 16;
        type Vector = __m128;

        #[inline(always)]
        unsafe fn zero() -> __m128 {
            unsafe { _mm_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m128 {
            unsafe { _mm_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m128 {
            unsafe { _mm_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(vector: __m128, to: *mut f32) {
            unsafe { _mm_storeu_ps(to, vector) }
        }
        #[inline(always)]
        unsafe fn add(a: __m128, b: __m128) -> __m128 {
            unsafe { _mm_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m128, b: __m128, c: __m128) -> __m128 {
            unsafe { _mm_fmadd_ps(a, b, c) }
        }
    }
}
