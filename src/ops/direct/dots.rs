//! Dot products over pixels for many taps: the inner loop of the weights' gradient.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Level, Simd};
use super::sums::blocks;

/// Dot products over pixels, summed over images:
/// `to[o·taps + k] += Σ_image Σ_p grad[grad_start + o·grad_stride + p]·from[offsets[k] + p]`.
pub(super) struct Dots<'a> {
    /// Images one after another.
    pub(super) from: &'a [f32],
    pub(super) from_image: usize,
    pub(super) offsets: &'a [usize],
    pub(super) grad: &'a [f32],
    pub(super) grad_image: usize,
    pub(super) grad_start: usize,
    pub(super) grad_stride: usize,
    pub(super) channels: usize,
    pub(super) images: usize,
    /// How many pixels, a multiple of the lanes.
    pub(super) pixels: usize,
}

pub(super) fn dots(level: Level, dots: &Dots<'_>, to: &mut [f32]) {
    let (Some(last), true) = (dots.offsets.iter().max(), dots.images > 0) else {
        return;
    };
    let before = dots.images - 1;
    assert!(before * dots.from_image + last + dots.pixels <= dots.from.len());
    let grad_end = dots.grad_start + (dots.channels - 1) * dots.grad_stride + dots.pixels;
    assert!(before * dots.grad_image + grad_end <= dots.grad.len());
    assert!(dots.channels * dots.offsets.len() <= to.len());
    assert!(dots.pixels.is_multiple_of(level.lanes()));
    // SAFETY: the level was detected on this processor; the assertions hold that all that is read
    // and written lies within the slices.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => dots_avx512(dots, to.as_mut_ptr()),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => dots_avx2(dots, to.as_mut_ptr()),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn dots_avx512(dots: &Dots<'_>, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe { all_dots::<Avx512>(dots, to) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_avx2(dots: &Dots<'_>, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe { all_dots::<Avx2>(dots, to) }
}

#[inline(always)]
unsafe fn all_dots<S: Simd>(dots: &Dots<'_>, to: *mut f32) {
    let (most_channels, most_taps) = S::DOTS;
    for (o, channels) in blocks(dots.channels, most_channels) {
        for (k, taps) in blocks(dots.offsets.len(), most_taps) {
            // SAFETY: the tile lies within what `dots` checked.
            unsafe {
                let to = to.add(o * dots.offsets.len() + k);
                match channels {
                    8 => tap_block::<S, 8>(dots, o, k, taps, to),
                    7 => tap_block::<S, 7>(dots, o, k, taps, to),
                    6 => tap_block::<S, 6>(dots, o, k, taps, to),
                    5 => tap_block::<S, 5>(dots, o, k, taps, to),
                    4 => tap_block::<S, 4>(dots, o, k, taps, to),
                    3 => tap_block::<S, 3>(dots, o, k, taps, to),
                    2 => tap_block::<S, 2>(dots, o, k, taps, to),
                    _ => tap_block::<S, 1>(dots, o, k, taps, to),
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn tap_block<S: Simd, const C: usize>(
    dots: &Dots<'_>,
    o: usize,
    k: usize,
    taps: usize,
    to: *mut f32,
) {
    // SAFETY: the caller's conditions.
    unsafe {
        match taps {
            3 => dot_tile::<S, C, 3>(dots, o, k, to),
            2 => dot_tile::<S, C, 2>(dots, o, k, to),
            _ => dot_tile::<S, C, 1>(dots, o, k, to),
        }
    }
}

/// C channels and K taps, summed in registers over all images.
#[inline(always)]
unsafe fn dot_tile<S: Simd, const C: usize, const K: usize>(
    dots: &Dots<'_>,
    o: usize,
    k: usize,
    to: *mut f32,
) {
    // SAFETY: the caller's conditions.
    unsafe {
        let mut offsets = [0; K];
        offsets.copy_from_slice(&dots.offsets[k..k + K]);
        let mut sums = [[S::zero(); K]; C];
        for image in 0..dots.images {
            let from = dots.from.as_ptr().add(image * dots.from_image);
            let first = image * dots.grad_image + dots.grad_start + o * dots.grad_stride;
            let grad = dots.grad.as_ptr().add(first);
            let mut p = 0;
            while p < dots.pixels {
                let mut pixels = [S::zero(); K];
                for k in 0..K {
                    pixels[k] = S::load(from.add(offsets[k] + p));
                }
                for c in 0..C {
                    let grad = S::load(grad.add(c * dots.grad_stride + p));
                    for k in 0..K {
                        sums[c][k] = S::mul_add(grad, pixels[k], sums[c][k]);
                    }
                }
                p += S::LANES;
            }
        }
        for c in 0..C {
            for k in 0..K {
                *to.add(c * dots.offsets.len() + k) += S::sum(sums[c][k]);
            }
        }
    }
}
