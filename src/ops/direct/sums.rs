//! Sums over taps for many pixels: the inner loop of the outputs, and of the input's gradient.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use crate::ops::simd::{Kernel, Level, Simd};

/// How many vectors of neighbouring pixels a tile of the sums takes.
const WIDE: usize = 3;

/// How many channels a tile takes, so that their sums stay in registers.
const fn channels_a_tile(registers: usize) -> usize {
    registers / 4
}

/// Sums over taps: `to[o·to_stride + p] = start[o] + Σ_k weight[k, o]·from[offsets[k] + p]`.
///
/// Each block of taps is summed by itself, from 0, and the blocks' sums are added to `start` one after
/// another: PyTorch's order on a processor with vectors of 16, so the same to the last digit.
pub(super) struct Sums<'a> {
    pub(super) from: &'a [f32],
    pub(super) offsets: &'a [usize],
    /// How many taps a block has; the last may have fewer.
    pub(super) block: usize,
    /// One number a channel.
    pub(super) start: &'a [f32],
    /// From [`pack`].
    pub(super) weight: &'a [f32],
    pub(super) channels: usize,
    /// How many pixels, a multiple of the lanes.
    pub(super) pixels: usize,
    pub(super) to_stride: usize,
}

/// How `channels` fall into blocks of at most `most`, as even as can be.
pub(super) fn blocks(channels: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let n = channels.div_ceil(most).max(1);
    (0..n).map(move |i| {
        let start = i * channels / n;
        (start, (i + 1) * channels / n - start)
    })
}

/// Weights (o, k) in the order in which [`sums`] reads them: for each block of channels, tap after
/// tap.
pub(super) fn pack(
    level: Level,
    channels: usize,
    taps: usize,
    weight: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let most = channels_a_tile(level.registers());
    let mut packed = Vec::with_capacity(channels * taps);
    for (start, n) in blocks(channels, most) {
        for k in 0..taps {
            packed.extend((start..start + n).map(|o| weight(o, k)));
        }
    }
    packed
}

pub(super) fn sums(level: Level, sums: &Sums<'_>, to: &mut [f32]) {
    let Some(last) = sums.offsets.iter().max() else {
        return;
    };
    assert!(last + sums.pixels <= sums.from.len());
    assert!(sums.weight.len() == sums.channels * sums.offsets.len());
    assert!(sums.start.len() == sums.channels && sums.block > 0);
    assert!(sums.pixels <= sums.to_stride && sums.channels * sums.to_stride <= to.len());
    assert!(sums.pixels.is_multiple_of(level.lanes()));
    // SAFETY: the level was detected on this processor; the assertions hold that all that is read
    // and written lies within the slices.
    unsafe { level.run(AllSums(sums, to.as_mut_ptr())) }
}

struct AllSums<'a>(&'a Sums<'a>, *mut f32);

impl Kernel for AllSums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's conditions.
        unsafe { all_sums::<S>(self.0, self.1) }
    }
}

/// Pixels outside, blocks of taps within them, channels inside: what the taps read stays in the nearest
/// cache, the weights stream.
#[inline(always)]
unsafe fn all_sums<S: Simd>(sums: &Sums<'_>, to: *mut f32) {
    let vectors = sums.pixels / S::LANES;
    if vectors == 0 {
        return;
    }
    for (first, vectors) in blocks(vectors, WIDE) {
        let p = first * S::LANES;
        for (k, offsets) in sums.offsets.chunks(sums.block).enumerate() {
            let taps = Taps {
                offsets,
                first: k == 0,
                to_stride: sums.to_stride,
            };
            for (start, n) in blocks(sums.channels, channels_a_tile(S::REGISTERS)) {
                // SAFETY: the block lies within what `sums` checked.
                unsafe {
                    let to = to.add(start * sums.to_stride + p);
                    let weight = sums.weight.as_ptr();
                    let weight = weight.add(start * sums.offsets.len() + k * sums.block * n);
                    let from = sums.from.as_ptr().add(p);
                    let start = sums.start.as_ptr().add(start);
                    match vectors {
                        3 => block::<S, 3>(&taps, n, from, weight, start, to),
                        2 => block::<S, 2>(&taps, n, from, weight, start, to),
                        _ => block::<S, 1>(&taps, n, from, weight, start, to),
                    }
                }
            }
        }
    }
}

/// One block of taps.
struct Taps<'a> {
    offsets: &'a [usize],
    /// Whether it is the first, whose sums take the place of what was there.
    first: bool,
    to_stride: usize,
}

#[inline(always)]
unsafe fn block<S: Simd, const V: usize>(
    taps: &Taps<'_>,
    channels: usize,
    from: *const f32,
    weight: *const f32,
    start: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's conditions.
    unsafe {
        match channels {
            8 => tile::<S, 8, V>(taps, from, weight, start, to),
            7 => tile::<S, 7, V>(taps, from, weight, start, to),
            6 => tile::<S, 6, V>(taps, from, weight, start, to),
            5 => tile::<S, 5, V>(taps, from, weight, start, to),
            4 => tile::<S, 4, V>(taps, from, weight, start, to),
            3 => tile::<S, 3, V>(taps, from, weight, start, to),
            2 => tile::<S, 2, V>(taps, from, weight, start, to),
            _ => tile::<S, 1, V>(taps, from, weight, start, to),
        }
    }
}

/// C channels of V vectors of pixels.
#[inline(always)]
unsafe fn tile<S: Simd, const C: usize, const V: usize>(
    taps: &Taps<'_>,
    from: *const f32,
    weight: *const f32,
    start: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's conditions.
    unsafe {
        let sums = tile_sums::<S, C, V>(taps.offsets, from, weight);
        for c in 0..C {
            for v in 0..V {
                let to = to.add(c * taps.to_stride + v * S::LANES);
                let before = match taps.first {
                    true => S::splat(*start.add(c)),
                    false => S::load(to),
                };
                S::store(S::add(before, sums[c][v]), to);
            }
        }
    }
}

/// The sums of one block of taps, in registers.
#[inline(always)]
unsafe fn tile_sums<S: Simd, const C: usize, const V: usize>(
    offsets: &[usize],
    from: *const f32,
    weight: *const f32,
) -> [[S::Vector; V]; C] {
    // SAFETY: the caller's conditions.
    unsafe {
        let mut sums = [[S::zero(); V]; C];
        let mut weight = weight;
        for &offset in offsets {
            let from = from.add(offset);
            let mut pixels = [S::zero(); V];
            for v in 0..V {
                pixels[v] = S::load(from.add(v * S::LANES));
            }
            for c in 0..C {
                let weight = S::splat(*weight.add(c));
                for v in 0..V {
                    sums[c][v] = S::mul_add(weight, pixels[v], sums[c][v]);
                }
            }
            weight = weight.add(C);
        }
        sums
    }
}
