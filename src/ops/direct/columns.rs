//! The forward convolution of one image: copies of it, one for each column of the kernel, each as wide as
//! the output; so that neighbouring outputs read neighbouring pixels, also from row to row.

use super::layout::Order;
use super::sums::{Sums, pack, sums};
use crate::ops::conv2d::Problem;
use crate::ops::simd::Level;
use crate::size::Size2;

/// One group of one image, before and after its convolution.
pub(in crate::ops) struct Columns {
    level: Level,
    channels: usize,
    out_channels: usize,
    input: Size2,
    output: Size2,
    before: Size2,
    /// Rows with the padding.
    padded_rows: usize,
    /// How far each column of the kernel lies to the right.
    shifts: Vec<usize>,
    order: Order,
}

impl Columns {
    pub(in crate::ops) fn new(problem: &Problem, level: Level) -> Self {
        let geometry = &problem.geometry;
        let (kernel, dilation) = (geometry.kernel, geometry.dilation);
        let channels = problem.in_channels / geometry.groups;
        let padded_rows = problem.input.h + geometry.before.h + geometry.after.h;
        let (plane, row) = (
            padded_rows * geometry.output.w,
            dilation.h * geometry.output.w,
        );
        let window = kernel.h * kernel.w;
        let order = Order::new(channels, window, |tap| {
            let (c, i, j) = (tap / window, tap % window / kernel.w, tap % kernel.w);
            (j * channels + c) * plane + i * row
        });
        Self {
            level,
            channels,
            out_channels: problem.out_channels / geometry.groups,
            input: problem.input,
            output: geometry.output,
            before: geometry.before,
            padded_rows,
            shifts: (0..kernel.w).map(|j| j * dilation.w).collect(),
            order,
        }
    }

    /// The weights (out, in, rows, columns) of one group as [`convolve`](Self::convolve) takes them.
    pub(in crate::ops) fn pack(&self, weight: &[f32]) -> Vec<f32> {
        let taps = self.order.taps.len();
        pack(self.level, self.out_channels, taps, |o, k| {
            weight[o * taps + self.order.taps[k]]
        })
    }

    /// How many numbers the copies have, with room for the last vector.
    fn copies(&self) -> usize {
        let plane = self.padded_rows * self.output.w;
        self.shifts.len() * self.channels * plane + self.level.lanes()
    }

    /// Pixels of one output channel, as vectors.
    pub(in crate::ops) fn out_pixels(&self) -> usize {
        (self.output.h * self.output.w).next_multiple_of(self.level.lanes())
    }

    /// How many numbers of scratch [`convolve`](Self::convolve) takes.
    pub(in crate::ops) fn scratch(&self) -> usize {
        self.copies() + self.out_channels * self.out_pixels()
    }

    /// The outputs of one image in `scratch`, channel after channel, each [`out_pixels`](Self::out_pixels) long.
    pub(in crate::ops) fn convolve<'a>(
        &self,
        image: &[f32],
        packed: &[f32],
        start: &[f32],
        scratch: &'a mut [f32],
    ) -> &'a [f32] {
        let (copies, rest) = scratch.split_at_mut(self.copies());
        self.copy(image, copies);
        let pixels = self.out_pixels();
        let outputs = &mut rest[..self.out_channels * pixels];
        let job = Sums {
            from: copies,
            offsets: &self.order.offsets,
            block: self.order.block,
            start,
            weight: packed,
            channels: self.out_channels,
            pixels,
            to_stride: pixels,
        };
        sums(self.level, &job, outputs);
        outputs
    }

    fn copy(&self, image: &[f32], to: &mut [f32]) {
        let (width, plane) = (self.output.w, self.input.h * self.input.w);
        let mut rows = to.chunks_exact_mut(width);
        for &shift in &self.shifts {
            // Output column x reads input column x + shift − before.
            let left = self.before.w.saturating_sub(shift).min(width);
            let from = (shift + left).saturating_sub(self.before.w);
            let n = (width - left).min(self.input.w.saturating_sub(from));
            let whole = n == width && self.padded_rows == self.input.h;
            for image in image.chunks_exact(plane) {
                if whole {
                    for row in image.chunks_exact(self.input.w) {
                        let Some(to) = rows.next() else { return };
                        copy_row(&row[from..][..n], to);
                    }
                    continue;
                }
                for y in 0..self.padded_rows {
                    let Some(to) = rows.next() else { return };
                    match y.checked_sub(self.before.h).filter(|&y| y < self.input.h) {
                        Some(y) => {
                            to[..left].fill(0.0);
                            let row = &image[y * self.input.w + from..][..n];
                            copy_row(row, &mut to[left..left + n]);
                            to[left + n..].fill(0.0);
                        }
                        None => to.fill(0.0),
                    }
                }
            }
        }
    }
}

/// Rows are short: a call for each would take longer than the copy.
#[inline(always)]
fn copy_row(row: &[f32], to: &mut [f32]) {
    let (eights, rest) = row.as_chunks::<8>();
    let (to_eights, to_rest) = to.as_chunks_mut::<8>();
    for (to, eight) in to_eights.iter_mut().zip(eights) {
        *to = *eight;
    }
    for (to, value) in to_rest.iter_mut().zip(rest) {
        *to = *value;
    }
}
