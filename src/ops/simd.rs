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
    /// 4 numbers at once, 32 registers.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The best there is; none where these kernels have no vectors for the processor.
    pub(in crate::ops) fn detect() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// All that the processor has, best first.
    pub(in crate::ops) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let levels = {
            let avx2 =
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("popcnt");
            [(avx512, Self::Avx512), (avx2, Self::Avx2)]
        };
        #[cfg(target_arch = "aarch64")]
        let levels = [(std::arch::is_aarch64_feature_detected!("neon"), Self::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let levels: [(bool, Self); 0] = [];
        levels
            .into_iter()
            .filter_map(|(there, level)| there.then_some(level))
            .collect()
    }

    pub(in crate::ops) fn lanes(self) -> usize {
        self.size().0
    }

    /// How many vectors the processor holds.
    pub(in crate::ops) fn registers(self) -> usize {
        self.size().1
    }

    /// Lanes of the narrowest vectors that hold `n` numbers, or of the widest that there are.
    pub(in crate::ops) fn lanes_for(self, n: usize) -> usize {
        match n {
            0..=4 => 4,
            5..=8 => self.lanes().min(8),
            _ => self.lanes(),
        }
    }

    fn size(self) -> (usize, usize) {
        const fn of<S: Simd>() -> (usize, usize) {
            (S::LANES, S::REGISTERS)
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => of::<x86::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => of::<x86::Avx2>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => of::<neon::Neon>(),
        }
    }

    /// Runs a kernel with the level's vectors, in a function that enables their instructions.
    ///
    /// # Safety
    ///
    /// The level was detected on this processor; the kernel's own conditions hold.
    pub(in crate::ops) unsafe fn run(self, kernel: impl Kernel) {
        // SAFETY: the caller's conditions.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::with_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::with_avx2(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::with_neon(kernel),
            }
        }
    }
}

/// A kernel, written once for every width of vectors.
pub(in crate::ops) trait Kernel {
    /// To be inlined into the function that enables the instructions, with all that it calls.
    ///
    /// # Safety
    ///
    /// The processor has `S`'s instructions; each kernel tells what else.
    unsafe fn run<S: Simd>(self);
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
    /// Vectors half as wide, for what is left of the channels; the narrowest are their own half.
    type Half: Simd;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(vector: Self::Vector, to: *mut f32);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c, rounded once.
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        // SAFETY: the caller's conditions.
        unsafe { Self::splat(0.0) }
    }
}

pub(in crate::ops) type Quarter<S> = <<S as Simd>::Half as Simd>::Half;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    ($name:ident: $Vector:ty, $lanes:literal lanes, $registers:literal registers, half $Half:ty,
     $splat:ident, $load:ident, $store:ident, $add:ident, |$a:ident, $b:ident, $c:ident| $mul_add:expr) => {
        pub(super) struct $name;

        // SAFETY (all methods): the trait's own conditions.
        impl Simd for $name {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;
            type Vector = $Vector;
            type Half = $Half;

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
            unsafe fn mul_add($a: $Vector, $b: $Vector, $c: $Vector) -> $Vector {
                unsafe { $mul_add }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Simd};

    simd!(Avx512: __m512, 16 lanes, 32 registers, half Avx2, _mm512_set1_ps, _mm512_loadu_ps,
        _mm512_storeu_ps, _mm512_add_ps, |a, b, c| _mm512_fmadd_ps(a, b, c));
    simd!(Avx2: __m256, 8 lanes, 16 registers, half Sse, _mm256_set1_ps, _mm256_loadu_ps,
        _mm256_storeu_ps, _mm256_add_ps, |a, b, c| _mm256_fmadd_ps(a, b, c));
    // With the fused product that comes with AVX2.
    simd!(Sse: __m128, 4 lanes, 16 registers, half Self, _mm_set1_ps, _mm_loadu_ps,
        _mm_storeu_ps, _mm_add_ps, |a, b, c| _mm_fmadd_ps(a, b, c));

    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx2,fma,popcnt")]
    pub(super) unsafe fn with_avx512(kernel: impl Kernel) {
        // SAFETY: the caller's conditions.
        unsafe { kernel.run::<Avx512>() }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn with_avx2(kernel: impl Kernel) {
        // SAFETY: the caller's conditions.
        unsafe { kernel.run::<Avx2>() }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{Kernel, Simd};

    simd!(Neon: float32x4_t, 4 lanes, 32 registers, half Self, vdupq_n_f32, vld1q_f32, vst1q_f32,
        vaddq_f32, |a, b, c| vfmaq_f32(c, a, b));

    #[target_feature(enable = "neon")]
    pub(super) unsafe fn with_neon(kernel: impl Kernel) {
        // SAFETY: the caller's conditions.
        unsafe { kernel.run::<Neon>() }
    }
}
