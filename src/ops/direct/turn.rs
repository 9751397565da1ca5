//! The outputs' gradients turned: pixel after pixel, a pixel's channels side by side.

use super::simd::Level;

/// How `channels` fall into vectors: where each begins, and its lanes. The last may be wider than what is
/// left.
pub(super) fn lane_blocks(level: Level, channels: usize) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut start = 0;
    while start < channels {
        let lanes = match channels - start {
            1..=4 => 4,
            5..=8 => 8,
            _ => level.lanes(),
        };
        all.push((start, lanes));
        start += lanes;
    }
    all
}

/// Channel planes of `pixels` into pixels of `lanes` channels, 0 in the lanes without a channel. On the way
/// each channel's pixels are added to `sums`, one after another.
pub(super) fn turn(planes: &[f32], pixels: usize, lanes: usize, to: &mut [f32], sums: &mut [f32]) {
    match lanes {
        4 => turn_quads::<1>(planes, pixels, to, sums),
        8 => turn_quads::<2>(planes, pixels, to, sums),
        _ => turn_quads::<4>(planes, pixels, to, sums),
    }
}

/// Q times four channels; four pixels at once.
fn turn_quads<const Q: usize>(planes: &[f32], pixels: usize, to: &mut [f32], sums: &mut [f32]) {
    let mut channels: [[&[f32]; 4]; Q] = [[&[]; 4]; Q];
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
    for (four, to) in to[..pixels * Q].chunks_mut(4 * Q).enumerate() {
        let first = 4 * four;
        let last = pixels.min(first + 4);
        for q in 0..Q {
            let mut square = [[0f32; 4]; 4];
            for (row, channel) in square.iter_mut().zip(channels[q]) {
                match channel.get(first..first + 4) {
                    Some(four) => row.copy_from_slice(four),
                    None if channel.is_empty() => {}
                    None => row[..last - first].copy_from_slice(&channel[first..last]),
                }
            }
            for p in 0..last - first {
                let turned = [square[0][p], square[1][p], square[2][p], square[3][p]];
                to[p * Q + q] = turned;
                for (total, value) in totals[q].iter_mut().zip(turned) {
                    *total += value;
                }
            }
        }
    }
    sums[..4 * Q].copy_from_slice(totals.as_flattened());
}
