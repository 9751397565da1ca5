//! Max pooling of 2×2 and ReLU of one channel.
#![allow(unsafe_code)]

use crate::ops::simd::Level;
use crate::size::Size2;

/// Of each window the greatest, where it is positive or not a number, else 0; `which` tells its place in the
/// window: 0, 1, and 2, 3 in the row below. The first of equals, as in PyTorch.
pub(super) fn pool_relu(
    level: Level,
    plane: &[f32],
    size: Size2,
    to: &mut [f32],
    which: &mut [u8],
) {
    let windows = (size.h / 2) * (size.w / 2);
    assert!(plane.len() == size.h * size.w && to.len() == windows && which.len() == windows);
    if windows == 0 {
        return;
    }
    let done = match level {
        // Also where there are wider vectors: comparing those takes longer.
        // SAFETY: a processor of either level has these instructions; the assertion holds that the planes are
        // as large as they say.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx2 => unsafe { pool_avx2(plane, size, to, which) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => 0,
    };
    pool(plane, size, done, to, which);
}

/// The windows of each row from `first` on.
fn pool(plane: &[f32], size: Size2, first: usize, to: &mut [f32], which: &mut [u8]) {
    let width = size.w / 2;
    if first == width {
        return;
    }
    let pairs = plane.chunks_exact(2 * size.w);
    let rows = to
        .chunks_exact_mut(width)
        .zip(which.chunks_exact_mut(width));
    for (pair, (to, which)) in pairs.zip(rows) {
        let (up, low) = pair.split_at(size.w);
        let (up, low) = (up.as_chunks::<2>().0, low.as_chunks::<2>().0);
        let windows = up.iter().zip(low).skip(first);
        for ((up, low), (to, which)) in windows.zip(to.iter_mut().zip(which).skip(first)) {
            let above_right = wins(up[1], up[0]);
            let below_right = wins(low[1], low[0]);
            let above = if above_right { up[1] } else { up[0] };
            let below = if below_right { low[1] } else { low[0] };
            let down = wins(below, above);
            *to = relu(if down { below } else { above });
            let right = (down & below_right) | (!down & above_right);
            *which = 2 * u8::from(down) + u8::from(right);
        }
    }
}

/// The same for the windows of each row that are four; as many of them as are given back. Twice four at once,
/// which may lie in two rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn pool_avx2(plane: &[f32], size: Size2, to: &mut [f32], which: &mut [u8]) -> usize {
    use std::arch::x86_64::*;

    /// The greater of two, and where that is the later one.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn greater(first: __m256, later: __m256) -> (__m256, __m256) {
        let wins = _mm256_or_ps(
            _mm256_cmp_ps::<_CMP_GT_OQ>(later, first),
            _mm256_cmp_ps::<_CMP_UNORD_Q>(later, later),
        );
        (_mm256_blendv_ps(first, later, wins), wins)
    }

    let fours = size.w / 2 / 4;
    let (mut row, mut column) = (0, 0);
    let mut next = || {
        let four = (
            2 * row * size.w + 8 * column,
            row * (size.w / 2) + 4 * column,
        );
        column += 1;
        if column == fours {
            (row, column) = (row + 1, 0);
        }
        four
    };
    let bits = |bits| _mm256_castsi256_ps(_mm256_set1_epi32(bits));
    let (from, to, which) = (plane.as_ptr(), to.as_mut_ptr(), which.as_mut_ptr());
    let mut left = size.h / 2 * fours;
    while left > 0 {
        let first = next();
        // The last four may be by themselves, and are taken twice.
        let second = if left > 1 { next() } else { first };
        left = left.saturating_sub(2);
        // SAFETY: both fours are there, in `plane` with the row below.
        unsafe {
            let load = |place: usize| {
                let low = _mm_loadu_ps(from.add(first.0 + place));
                let high = _mm_loadu_ps(from.add(second.0 + place));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
            };
            let pairs = |row: usize| {
                let (a, b) = (load(row), load(row + 4));
                greater(
                    _mm256_shuffle_ps::<0b10_00_10_00>(a, b),
                    _mm256_shuffle_ps::<0b11_01_11_01>(a, b),
                )
            };
            let (above, above_right) = pairs(0);
            let (below, below_right) = pairs(size.w);
            let (best, down) = greater(above, below);
            // As `relu`: what is not 0 or less.
            let zero = _mm256_setzero_ps();
            let best = _mm256_and_ps(best, _mm256_cmp_ps::<_CMP_NLE_UQ>(best, zero));
            _mm_storeu_ps(to.add(first.1), _mm256_castps256_ps128(best));
            _mm_storeu_ps(to.add(second.1), _mm256_extractf128_ps::<1>(best));
            let right = _mm256_blendv_ps(above_right, below_right, down);
            let places = _mm256_or_ps(_mm256_and_ps(down, bits(2)), _mm256_and_ps(right, bits(1)));
            let places = _mm256_castps_si256(places);
            let places = _mm_packs_epi32(
                _mm256_castsi256_si128(places),
                _mm256_extracti128_si256::<1>(places),
            );
            let places = _mm_packus_epi16(places, places);
            _mm_storeu_si32(which.add(first.1).cast(), places);
            let second_places = _mm_extract_epi32::<1>(places);
            which
                .add(second.1)
                .cast::<i32>()
                .write_unaligned(second_places);
        }
    }
    4 * fours
}

/// Whether a later value takes the place of the greatest so far.
#[inline(always)]
fn wins(value: f32, best: f32) -> bool {
    (value > best) | value.is_nan()
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if (x > 0.0) | x.is_nan() { x } else { 0.0 }
}

/// ReLU alone.
pub(super) fn only_relu(plane: &[f32], to: &mut [f32]) {
    for (to, &x) in to.iter_mut().zip(plane) {
        *to = relu(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_takes_the_first_of_the_greatest() {
        let choice = [f32::NAN, -1.0, -0.0, 0.0, 1.0, 2.0, f32::INFINITY];
        for level in Level::all() {
            for w in 1..70 {
                let size = Size2 { h: 5, w };
                let drawn = crate::random::Generator::new(w as u64).uniform(5 * w, 0.0, 7.0);
                let plane: Vec<f32> = drawn.iter().map(|&x| choice[x as usize]).collect();
                let windows = 2 * (w / 2);
                let (mut to, mut which) = (vec![9.0; windows], vec![9; windows]);
                pool_relu(level, &plane, size, &mut to, &mut which);
                for i in 0..windows {
                    let (y, x) = (i / (w / 2) * 2, i % (w / 2) * 2);
                    let window = [0, 1, w, w + 1].map(|place| plane[y * w + x + place]);
                    let mut best = 0;
                    for (i, value) in window.iter().enumerate() {
                        if *value > window[best] || value.is_nan() {
                            best = i;
                        }
                    }
                    let value = window[best];
                    let value = if value <= 0.0 { 0.0 } else { value };
                    assert_eq!(which[i], best as u8, "{level:?}: {window:?}");
                    assert_eq!(to[i].to_bits(), value.to_bits(), "{level:?}: {window:?}");
                }
            }
        }
    }
}
