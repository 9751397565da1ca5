//! The gradient of the input: each output's gradient flows back into its window, weighted.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::list::{List, Plane};
use crate::ops::aligned::Aligned;
use crate::ops::simd::{Kernel, Level, Simd};
use crate::size::Size2;

/// Outputs' gradients of one image that are not zero, for one block of output channels.
///
/// They are sorted by row and channel, or, where [`Inputs::by_row`] is false, by channel and row.
#[derive(Debug, Default)]
pub(in crate::ops) struct Flows {
    list: List,
    /// Which channel of the block each is of.
    channels: Vec<u32>,
    /// Where those of each row begin, and where the last end; all are one row where they are not by row.
    rows: Vec<usize>,
}

impl Flows {
    /// Those of one image for one block; `plane` gives an output channel.
    fn find<'a>(
        &mut self,
        inputs: &Inputs,
        block: Range<usize>,
        plane: impl Fn(usize) -> Plane<'a>,
    ) {
        let Size2 { h, w } = plane(block.start).size;
        self.list.clear(block.len() * h * w, w);
        self.channels.resize(self.list.room(), 0);
        self.rows.clear();
        let rows = plane(block.start).rows();
        let width = inputs.padded.w as u32;
        let mut push = |rows: Range<usize>, o: usize| {
            let before = self.list.len();
            self.list.push(inputs.level, plane(o), rows, 0, width);
            let channel = (o - block.start) as u32;
            // Whole vectors, as the list itself: only the first may count.
            let own = (self.list.len() - before).next_multiple_of(16);
            for own in self.channels[before..][..own].chunks_exact_mut(16) {
                own.fill(channel);
            }
            self.list.len()
        };
        self.rows.push(0);
        if inputs.by_row() {
            for y in 0..rows {
                let ends = block.clone().map(|o| push(y..y + 1, o));
                self.rows.extend(ends.last());
            }
        } else {
            let ends = block.clone().map(|o| push(0..rows, o));
            self.rows.extend(ends.last());
        }
    }
}

/// How many output channels are summed by themselves before they are added: PyTorch's order.
pub(in crate::ops) const BLOCK: usize = 16;
/// How many vectors of input channels are summed at once.
const MOST: usize = 4;
/// How many numbers of the gradient stay in the nearest cache.
const NEAR: usize = 6 << 10;

/// Where the gradients of one convolution's inputs come from.
pub(in crate::ops) struct Inputs {
    level: Level,
    channels: usize,
    out_channels: usize,
    kernel: Size2,
    dilation: Size2,
    /// Rows and columns of the input with its padding.
    padded: Size2,
    /// For each part of the input channels, each block of output channels and each tap: the weights of each
    /// channel of the block, one for each lane.
    weight: Aligned,
}

impl Inputs {
    /// `weight` (out, in, rows, columns).
    pub(in crate::ops) fn new(
        level: Level,
        (channels, out_channels): (usize, usize),
        (kernel, dilation): (Size2, Size2),
        padded: Size2,
        weight: &[f32],
    ) -> Self {
        let window = kernel.h * kernel.w;
        let mut inputs = Self {
            level,
            channels,
            out_channels,
            kernel,
            dilation,
            padded,
            weight: Aligned::default(),
        };
        let mut packed = Aligned::zeros(out_channels * window * inputs.lanes());
        let mut places = packed.iter_mut();
        for part in inputs.parts() {
            for block in inputs.blocks() {
                for tap in 0..window {
                    for o in block.clone() {
                        for (c, place) in part.clone().zip(&mut places) {
                            if c < channels {
                                *place = weight[(o * channels + c) * window + tap];
                            }
                        }
                    }
                }
            }
        }
        inputs.weight = packed;
        inputs
    }

    /// Input channels, rounded up to vectors.
    pub(in crate::ops) fn lanes(&self) -> usize {
        self.channels.next_multiple_of(self.level.lanes())
    }

    /// Those that are summed at once.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, most) = (self.lanes(), MOST * self.level.lanes());
        (0..all)
            .step_by(most)
            .map(move |start| start..all.min(start + most))
    }

    pub(in crate::ops) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let all = self.out_channels;
        (0..all)
            .step_by(BLOCK)
            .map(move |start| start..all.min(start + BLOCK))
    }

    fn pixels(&self) -> usize {
        self.padded.h * self.padded.w
    }

    /// How many numbers the gradient of one image takes.
    pub(in crate::ops) fn len(&self) -> usize {
        self.pixels() * self.lanes()
    }

    /// Where channel `c` of pixel 0 lies in the gradient, and how far the next pixel is.
    pub(in crate::ops) fn place(&self, c: usize) -> (usize, usize) {
        let most = MOST * self.level.lanes();
        let part = c / most * most;
        let lanes = most.min(self.lanes() - part);
        (part * self.pixels() + c - part, lanes)
    }

    /// Whether the gradient is computed strip by strip, and so takes its flows sorted by row: where it does
    /// not stay in the nearest cache.
    fn by_row(&self) -> bool {
        self.pixels() * self.lanes().min(MOST * self.level.lanes()) > NEAR
    }

    /// The gradient of one image: part after part of its channels, pixel after pixel of the padded image.
    ///
    /// `plane` gives what flows into an output channel; `flows` and `scratch` are kept for the next image.
    pub(in crate::ops) fn run<'a>(
        &self,
        plane: impl Fn(usize) -> Plane<'a>,
        flows: &mut Vec<Flows>,
        scratch: &mut Aligned,
        to: &mut [f32],
    ) {
        flows.resize_with(self.blocks().count(), Flows::default);
        for (block, flows) in self.blocks().zip(&mut *flows) {
            flows.find(self, block.clone(), &plane);
            self.check(block.len(), flows);
        }
        let (width, height) = (self.padded.w, self.padded.h);
        let window = self.kernel.h * self.kernel.w;
        let mut weight = &*self.weight;
        let mut to = &mut to[..self.len()];
        to.fill(0.0);
        for part in self.parts() {
            let lanes = part.len();
            let plane;
            (plane, to) = to.split_at_mut(self.pixels() * lanes);
            let rows = match self.by_row() {
                true => (NEAR / (width * lanes)).clamp(1, height),
                false => height,
            };
            for (b, (block, flows)) in self.blocks().zip(&*flows).enumerate() {
                let own;
                (own, weight) = weight.split_at(window * block.len() * lanes);
                for first in (0..height).step_by(rows) {
                    let strip = first..height.min(first + rows);
                    let place = first * width * lanes..strip.end * width * lanes;
                    if b == 0 {
                        self.strip(flows, own, lanes, strip, &mut plane[place]);
                    } else {
                        let sums = &mut scratch.at_least(place.len())[..place.len()];
                        sums.fill(0.0);
                        self.strip(flows, own, lanes, strip, sums);
                        for (to, sum) in plane[place].iter_mut().zip(sums) {
                            *to += *sum;
                        }
                    }
                }
            }
        }
    }

    /// That each flow lies in its row, with its window, and is of a channel that the block has.
    fn check(&self, block: usize, flows: &Flows) {
        let down = (self.kernel.h - 1) * self.dilation.h;
        let right = (self.kernel.w - 1) * self.dilation.w;
        let width = self.padded.w;
        let (at, channels) = (&flows.list.at, &flows.channels);
        let rows = match self.by_row() {
            true => 1,
            false => self.padded.h - down,
        };
        assert!(flows.rows.len() <= self.padded.h - down + 1);
        for (y, ends) in flows.rows.windows(2).enumerate() {
            // The last pixel whose window lies within the image.
            let row = y * width..(y + rows) * width - right;
            let there = |at: &u32| row.contains(&(*at as usize));
            assert!(at[ends[0]..ends[1]].iter().all(there));
            let there = |channel: &u32| (*channel as usize) < block;
            assert!(channels[ends[0]..ends[1]].iter().all(there));
        }
    }

    /// Some rows of the input: tap after tap, the outputs' rows from which it takes.
    fn strip(
        &self,
        flows: &Flows,
        weight: &[f32],
        lanes: usize,
        strip: Range<usize>,
        to: &mut [f32],
    ) {
        let width = self.padded.w;
        let rows = &flows.rows;
        let each_tap = weight.len() / (self.kernel.h * self.kernel.w);
        for (tap, weight) in weight.chunks_exact(each_tap).enumerate() {
            let (i, j) = (tap / self.kernel.w, tap % self.kernel.w);
            let (down, right) = (i * self.dilation.h, j * self.dilation.w);
            let range = match self.by_row() {
                true => {
                    let row = |y: usize| rows[y.saturating_sub(down).min(rows.len() - 1)];
                    row(strip.start)..row(strip.end)
                }
                false => 0..flows.list.len(),
            };
            // Pixel 0 of the outputs reads this pixel through the tap, seen from the strip's first.
            let shift = (down * width + right) as isize - (strip.start * width) as isize;
            let job = Scatter {
                values: &flows.list.values[range.clone()],
                channels: &flows.channels[range.clone()],
                at: &flows.list.at[range],
                weight: weight.as_ptr(),
                shift,
                lanes,
                to: to.as_mut_ptr(),
            };
            // SAFETY: the level was detected on this processor; `check` holds that each flow lies in its
            // row, so with the tap's shift in the strip, and has one of the block's channels.
            unsafe { self.level.run(job) };
        }
    }
}

struct Scatter<'a> {
    values: &'a [f32],
    channels: &'a [u32],
    at: &'a [u32],
    weight: *const f32,
    shift: isize,
    lanes: usize,
    to: *mut f32,
}

impl Kernel for Scatter<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's conditions.
        unsafe {
            match self.lanes / S::LANES {
                1 => self.vectors::<S, 1>(),
                2 => self.vectors::<S, 2>(),
                3 => self.vectors::<S, 3>(),
                _ => self.vectors::<S, 4>(),
            }
        }
    }
}

impl Scatter<'_> {
    #[inline(always)]
    unsafe fn vectors<S: Simd, const V: usize>(&self) {
        // SAFETY: the caller's conditions.
        unsafe {
            for ((&value, &channel), &at) in self.values.iter().zip(self.channels).zip(self.at) {
                let value = S::splat(value);
                let weight = self.weight.add(channel as usize * V * S::LANES);
                let to = (at as isize + self.shift) * (V * S::LANES) as isize;
                let to = self.to.offset(to);
                for v in 0..V {
                    let weight = S::load(weight.add(v * S::LANES));
                    let to = to.add(v * S::LANES);
                    S::store(S::mul_add(value, weight, S::load(to)), to);
                }
            }
        }
    }
}
