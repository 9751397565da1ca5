//! The outputs' gradients turned: pixel after pixel, a pixel's channels side by side.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use crate::ops::simd::Level;

/// How `channels` fall into vectors: where each begins, and its lanes. The last may be wider than what is
/// left.
pub(super) fn lane_blocks(level: Level, channels: usize) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut start = 0;
    while start < channels {
        let lanes = level.lanes_for(channels - start);
        all.push((start, lanes));
        start += lanes;
    }
    all
}

/// Channel planes as long as `zeros` into pixels of `lanes` channels, 0 where a lane has no channel. On the
/// way each channel's pixels are added to `sums`, one after another.
pub(super) fn turn(
    planes: &[f32],
    zeros: &[f32],
    lanes: usize,
    to: &mut [f32],
    sums: &mut [f32; 16],
) {
    match lanes {
        4 => turn_fours::<1>(planes, zeros, to, sums),
        8 => turn_fours::<2>(planes, zeros, to, sums),
        _ => turn_fours::<4>(planes, zeros, to, sums),
    }
}

/// Q times four channels side by side, since each channel's sum waits for its last addition; four pixels
/// at once, as the columns of a square become its rows.
fn turn_fours<const Q: usize>(planes: &[f32], zeros: &[f32], to: &mut [f32], sums: &mut [f32; 16]) {
    let pixels = zeros.len();
    let mut channels = [[zeros; 4]; Q];
    for (channel, plane) in channels
        .as_flattened_mut()
        .iter_mut()
        .zip(planes.chunks(pixels))
    {
        *channel = plane;
    }
    let mut totals = [[0f32; 4]; Q];
    totals.as_flattened_mut().copy_from_slice(&sums[..4 * Q]);
    let (to, _) = to.as_chunks_mut::<4>();
    let (to, _) = to.as_chunks_mut::<Q>();
    let (whole, rest) = to[..pixels].as_chunks_mut::<4>();
    for (four, to) in whole.iter_mut().enumerate() {
        for q in 0..Q {
            let square = channels[q].map(|channel| {
                let mut row = [0f32; 4];
                row.copy_from_slice(&channel[4 * four..4 * four + 4]);
                row
            });
            for (to, turned) in to.iter_mut().zip(transposed(square)) {
                to[q] = turned;
                add(&mut totals[q], turned);
            }
        }
    }
    let first = pixels - rest.len();
    for (p, to) in rest.iter_mut().enumerate() {
        for q in 0..Q {
            to[q] = channels[q].map(|channel| channel[first + p]);
            add(&mut totals[q], to[q]);
        }
    }
    sums[..4 * Q].copy_from_slice(totals.as_flattened());
}

fn add(totals: &mut [f32; 4], values: [f32; 4]) {
    for (total, value) in totals.iter_mut().zip(values) {
        *total += value;
    }
}

/// Four rows of four as four columns.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub(in crate::ops) fn transposed(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    // Two vectors' lower halves, number by number in turn, and their upper halves.
    #[cfg(target_arch = "aarch64")]
    use std::arch::aarch64::{
        float32x4_t as Vector, vzip1q_f32 as zip_low, vzip2q_f32 as zip_high,
    };
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::{
        __m128 as Vector, _mm_unpackhi_ps as zip_high, _mm_unpacklo_ps as zip_low,
    };
    // SAFETY: every such processor has these instructions, and the types are four numbers each.
    unsafe {
        let [a, b, c, d]: [Vector; 4] = std::mem::transmute(rows);
        let (low_ac, low_bd) = (zip_low(a, c), zip_low(b, d));
        let (high_ac, high_bd) = (zip_high(a, c), zip_high(b, d));
        std::mem::transmute([
            zip_low(low_ac, low_bd),
            zip_high(low_ac, low_bd),
            zip_low(high_ac, high_bd),
            zip_high(high_ac, high_bd),
        ])
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(in crate::ops) fn transposed(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|column| rows.map(|row| row[column]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_side_by_side() {
        for (channels, lanes) in [(10, 16), (16, 16), (4, 4), (3, 4), (5, 8)] {
            for pixels in [1, 4, 6, 25] {
                let planes: Vec<f32> = (0..channels * pixels).map(|i| i as f32).collect();
                let (mut to, mut sums) = (vec![0.0; pixels * lanes], [1.0; 16]);
                turn(&planes, &vec![0.0; pixels], lanes, &mut to, &mut sums);
                for c in 0..lanes {
                    let plane = |p: usize| {
                        if c < channels {
                            (c * pixels + p) as f32
                        } else {
                            0.0
                        }
                    };
                    assert!((0..pixels).all(|p| to[p * lanes + c] == plane(p)));
                    let sum: f32 = (0..pixels).map(plane).sum();
                    assert_eq!(sums[c], 1.0 + sum);
                }
            }
        }
    }
}
