//! The gradient of the input: each output's gradient flows back into its window, weighted.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::ops::simd::{Avx2, Avx512};
use crate::ops::simd::{Level, Simd};
use crate::size::Size2;

/// The gradient of one output: which channel of its block it has, and the place of its window's first pixel.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Flow {
    pub(in crate::ops) value: f32,
    pub(in crate::ops) channel: u32,
    pub(in crate::ops) at: u32,
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
    weight: Vec<f32>,
}

impl Inputs {
    /// `weight` (out, in, rows, columns).
    pub(in crate::ops) fn new(
        level: Level,
        (channels, out_channels): (usize, usize),
        kernel: Size2,
        dilation: Size2,
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
            weight: Vec::new(),
        };
        let mut packed = Vec::with_capacity(out_channels * window * inputs.lanes());
        for part in inputs.parts() {
            for block in inputs.blocks() {
                for tap in 0..window {
                    for o in block.clone() {
                        packed.extend(part.clone().map(|c| match c < channels {
                            true => weight[(o * channels + c) * window + tap],
                            false => 0.0,
                        }));
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

    /// The gradient of one image: part after part of its channels, pixel after pixel of the padded image.
    ///
    /// `flows`: those of each block, sorted by the output's row, then by its channel; `rows[y]..rows[y + 1]`
    /// are those of row y. `scratch` is as long as `to`.
    pub(in crate::ops) fn run(
        &self,
        flows: &[(Vec<Flow>, Vec<usize>)],
        to: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.check(flows);
        let (width, height) = (self.padded.w, self.padded.h);
        let window = self.kernel.h * self.kernel.w;
        let mut weight = self.weight.as_slice();
        let mut to = &mut to[..self.len()];
        to.fill(0.0);
        for part in self.parts() {
            let lanes = part.len();
            let plane;
            (plane, to) = to.split_at_mut(self.pixels() * lanes);
            let strip = (NEAR / (width * lanes)).clamp(1, height);
            for (b, block) in self.blocks().enumerate() {
                let block_weight;
                (block_weight, weight) = weight.split_at(window * block.len() * lanes);
                let (flows, rows) = &flows[b];
                for first in (0..height).step_by(strip) {
                    let end = height.min(first + strip);
                    let place = first * width * lanes..end * width * lanes;
                    if b == 0 {
                        let to = &mut plane[place];
                        self.strip(flows, rows, block_weight, lanes, first..end, to);
                    } else {
                        let sums = &mut scratch[..place.len()];
                        sums.fill(0.0);
                        self.strip(flows, rows, block_weight, lanes, first..end, sums);
                        for (to, sum) in plane[place].iter_mut().zip(sums) {
                            *to += *sum;
                        }
                    }
                }
            }
        }
    }

    /// That each flow is one of the row that lists it, and of a channel that its block has.
    fn check(&self, flows: &[(Vec<Flow>, Vec<usize>)]) {
        let down = (self.kernel.h - 1) * self.dilation.h;
        let right = (self.kernel.w - 1) * self.dilation.w;
        assert!(flows.len() == self.out_channels.div_ceil(BLOCK));
        for (block, (flows, rows)) in self.blocks().zip(flows) {
            assert!(!rows.is_empty() && rows.len() - 1 + down <= self.padded.h);
            for (y, ends) in rows.windows(2).enumerate() {
                let row = y * self.padded.w..(y + 1) * self.padded.w - right;
                let there = |flow: &Flow| {
                    row.contains(&(flow.at as usize)) & ((flow.channel as usize) < block.len())
                };
                assert!(flows[ends[0]..ends[1]].iter().all(there));
            }
        }
    }

    /// Some rows of the input: tap after tap, the outputs' rows from which it takes.
    fn strip(
        &self,
        flows: &[Flow],
        rows: &[usize],
        weight: &[f32],
        lanes: usize,
        strip: Range<usize>,
        to: &mut [f32],
    ) {
        let width = self.padded.w;
        let out_rows = rows.len() - 1;
        let each_tap = weight.len() / (self.kernel.h * self.kernel.w);
        for (tap, weight) in weight.chunks_exact(each_tap).enumerate() {
            let (i, j) = (tap / self.kernel.w, tap % self.kernel.w);
            let (down, right) = (i * self.dilation.h, j * self.dilation.w);
            let from = strip.start.saturating_sub(down).min(out_rows);
            let end = strip.end.saturating_sub(down).min(out_rows);
            let flows = &flows[rows[from]..rows[end]];
            if flows.is_empty() {
                continue;
            }
            // Pixel 0 of the outputs reads this pixel through the tap, seen from the strip's first.
            let shift = (down * width + right) as isize - (strip.start * width) as isize;
            self.scatter(flows, weight, lanes, shift, to);
        }
    }

    fn scatter(&self, flows: &[Flow], weight: &[f32], lanes: usize, shift: isize, to: &mut [f32]) {
        let job = Scatter {
            flows,
            weight: weight.as_ptr(),
            shift,
        };
        let to = to.as_mut_ptr();
        // SAFETY: the level was detected on this processor; `check` holds that each flow lies in its row,
        // so with the tap's shift in the strip, and has one of the block's channels.
        unsafe {
            match self.level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => scatter_avx512(&job, lanes, to),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => scatter_avx2(&job, lanes, to),
            }
        }
    }
}

struct Scatter<'a> {
    flows: &'a [Flow],
    weight: *const f32,
    shift: isize,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn scatter_avx512(job: &Scatter<'_>, lanes: usize, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe { scatter::<Avx512>(job, lanes, to) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn scatter_avx2(job: &Scatter<'_>, lanes: usize, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe { scatter::<Avx2>(job, lanes, to) }
}

#[inline(always)]
unsafe fn scatter<S: Simd>(job: &Scatter<'_>, lanes: usize, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe {
        match lanes / S::LANES {
            1 => scatter_vectors::<S, 1>(job, to),
            2 => scatter_vectors::<S, 2>(job, to),
            3 => scatter_vectors::<S, 3>(job, to),
            _ => scatter_vectors::<S, 4>(job, to),
        }
    }
}

#[inline(always)]
unsafe fn scatter_vectors<S: Simd, const V: usize>(job: &Scatter<'_>, to: *mut f32) {
    // SAFETY: the caller's conditions.
    unsafe {
        for flow in job.flows {
            let value = S::splat(flow.value);
            let weight = job.weight.add(flow.channel as usize * V * S::LANES);
            let to = to.offset((flow.at as isize + job.shift) * (V * S::LANES) as isize);
            for v in 0..V {
                let weight = S::load(weight.add(v * S::LANES));
                let to = to.add(v * S::LANES);
                S::store(S::mul_add(value, weight, S::load(to)), to);
            }
        }
    }
}
