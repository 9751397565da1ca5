//! Max pooling of 2×2 and ReLU of one channel.
#![allow(unsafe_code)]

use crate::ops::simd::{Kernel, Level, Simd};
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
    let pool = Pool {
        plane,
        size,
        to,
        which,
    };
    // SAFETY: the level was detected on this processor.
    unsafe { level.run(pool) }
}

struct Pool<'a> {
    plane: &'a [f32],
    size: Size2,
    to: &'a mut [f32],
    which: &'a mut [u8],
}

impl Kernel for Pool<'_> {
    /// Plain code, for which the compiler finds the vectors.
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        pool(self.plane, self.size, self.to, self.which);
    }
}

#[inline(always)]
fn pool(plane: &[f32], size: Size2, to: &mut [f32], which: &mut [u8]) {
    let width = size.w / 2;
    if width == 0 {
        return;
    }
    let pairs = plane.chunks_exact(2 * size.w);
    let rows = to
        .chunks_exact_mut(width)
        .zip(which.chunks_exact_mut(width));
    for (pair, (to, which)) in pairs.zip(rows) {
        let (up, low) = pair.split_at(size.w);
        let (up, low) = (up.as_chunks::<2>().0, low.as_chunks::<2>().0);
        for (((to, which), up), low) in to.iter_mut().zip(which).zip(up).zip(low) {
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
