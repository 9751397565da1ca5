//! The forward convolution of one image: copies of it, one for each column of the kernel, each as wide as
//! the output; so that neighbouring outputs read neighbouring pixels, also from row to row.
#![allow(unsafe_code)]

use super::layout::Order;
use super::sums::{Sums, pack, sums};
use crate::ops::conv2d::Problem;
use crate::ops::simd::{Kernel, Level, Quarter, Simd};
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
        let plane = self.padded_rows * self.output.w;
        let copies = to.chunks_exact_mut(self.channels * plane);
        for (&shift, to) in self.shifts.iter().zip(copies) {
            // Output column x reads input column x + shift − before.
            let left = self.before.w.saturating_sub(shift).min(self.output.w);
            let from = (shift + left).saturating_sub(self.before.w);
            let n = (self.output.w - left).min(self.input.w.saturating_sub(from));
            if n == self.output.w && self.padded_rows == self.input.h {
                // The rows of all channels are as far from each other.
                let rows = Rows {
                    from: &image[from..],
                    width: self.input.w,
                    to,
                    n,
                };
                rows.copy(self.level);
                continue;
            }
            let images = image.chunks_exact(self.input.h * self.input.w);
            for (image, to) in images.zip(to.chunks_exact_mut(plane)) {
                self.copy_padded(image, (from, left, n), to);
            }
        }
    }

    /// `n` columns of an image from `from` on, to those from `left` on; 0 around them.
    fn copy_padded(&self, image: &[f32], (from, left, n): (usize, usize, usize), to: &mut [f32]) {
        for (y, to) in to.chunks_exact_mut(self.output.w).enumerate() {
            match y.checked_sub(self.before.h).filter(|&y| y < self.input.h) {
                Some(y) => {
                    to[..left].fill(0.0);
                    let row = &image[y * self.input.w + from..][..n];
                    to[left..left + n].copy_from_slice(row);
                    to[left + n..].fill(0.0);
                }
                None => to.fill(0.0),
            }
        }
    }
}

/// The first `n` numbers of rows of `width`, side by side.
struct Rows<'a> {
    from: &'a [f32],
    width: usize,
    to: &'a mut [f32],
    n: usize,
}

impl Rows<'_> {
    fn copy(self, level: Level) {
        let rows = self.to.len() / self.n;
        assert!(self.n <= self.width && (rows - 1) * self.width + self.n <= self.from.len());
        // SAFETY: the level was detected on this processor; the assertion holds that the rows are there.
        unsafe { level.run(self) }
    }
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's conditions.
        unsafe {
            match self.n {
                n if n >= S::LANES => self.run_in::<S>(),
                n if n >= S::Half::LANES => self.run_in::<S::Half>(),
                n if n >= Quarter::<S>::LANES => self.run_in::<Quarter<S>>(),
                n => {
                    let rows = self.from.chunks(self.width);
                    for (to, row) in self.to.chunks_exact_mut(n).zip(rows) {
                        to.copy_from_slice(&row[..n]);
                    }
                }
            }
        }
    }
}

impl Rows<'_> {
    /// The last vector of a row begins within the one before, where they do not fill it.
    #[inline(always)]
    unsafe fn run_in<S: Simd>(self) {
        let (mut from, mut to) = (self.from.as_ptr(), self.to.as_mut_ptr());
        let last = self.n - S::LANES;
        for _ in 0..self.to.len() / self.n {
            let mut x = 0;
            // SAFETY: the caller's conditions.
            unsafe {
                while x < last {
                    S::store(S::load(from.add(x)), to.add(x));
                    x += S::LANES;
                }
                S::store(S::load(from.add(last)), to.add(last));
            }
            (from, to) = (from.wrapping_add(self.width), to.wrapping_add(self.n));
        }
    }
}
