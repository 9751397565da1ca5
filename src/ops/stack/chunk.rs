//! Some images of a batch on their way through the stack and back: what one task works on.

use std::cell::RefCell;

use super::plan::{Block, Plan, Planned};
use super::pool::{only_relu, pool_relu};
use crate::ops::aligned::Aligned;
use crate::ops::simd::Level;
use crate::ops::sparse::{Flows, Inputs, List, Plane};
use crate::size::Size2;

/// What is kept of some images between forward and backward, and what backward makes of it.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) images: usize,
    pub(super) blocks: Vec<Kept>,
}

/// Of one block.
#[derive(Default)]
pub(super) struct Kept {
    /// What left the block; that of the last is the stack's output.
    output: Vec<f32>,
    /// Which of its window's pixels the pooling took.
    which: Vec<u8>,
    /// The block's input with its padding, a pixel's channels side by side.
    from: Aligned,
    /// The outputs' gradients that are not zero, channel after channel; of each channel in the order of the
    /// images and their pixels.
    list: List,
    /// Where those of each channel end.
    ends: Vec<usize>,
}

impl Kept {
    /// The block's input, as its [`Windows`](crate::ops::sparse::Windows) take it.
    pub(super) fn from(&self) -> &[f32] {
        &self.from
    }

    /// The gradients of one channel, and the places of their windows in the input.
    pub(super) fn gradients(&self, channel: usize) -> (&[f32], &[u32]) {
        let start = channel.checked_sub(1).map_or(0, |before| self.ends[before]);
        let own = start..self.ends[channel];
        (&self.list.values[own.clone()], &self.list.at[own])
    }
}

/// Packed for the way forward, and the biases.
pub(super) struct Weights<'a> {
    pub(super) packed: Vec<f32>,
    pub(super) bias: &'a [f32],
}

#[derive(Default)]
struct Scratch {
    forward: Aligned,
    /// The gradient of one image, a pixel's channels side by side.
    gradient: Aligned,
    /// The gradients of a block's inputs, image after image, channel after channel.
    planes: Vec<f32>,
    /// Those of the block above.
    above: Vec<f32>,
    sums: Aligned,
    flows: Vec<Flows>,
}

thread_local! {
    /// Kept from step to step; nothing in it outlives a task.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn grow<T: Copy + Default>(buffer: &mut Vec<T>, n: usize) {
    if buffer.len() < n {
        buffer.resize(n, T::default());
    }
}

impl Chunk {
    pub(super) fn new(images: usize) -> Self {
        Self {
            images,
            blocks: Vec::new(),
        }
    }

    /// `images` and `output` are those of this chunk, of `n` images.
    pub(super) fn forward(
        &mut self,
        plan: &Plan,
        weights: &[Weights<'_>],
        n: usize,
        images: &[f32],
        output: &mut [f32],
    ) {
        self.images = n;
        self.blocks.resize_with(plan.blocks.len(), Kept::default);
        SCRATCH.with_borrow_mut(|scratch| {
            let last = plan.blocks.len() - 1;
            for (k, planned) in plan.blocks.iter().enumerate() {
                let (before, rest) = self.blocks.split_at_mut(k);
                let kept = &mut rest[0];
                let images = before.last().map_or(images, |before| &before.output);
                let numbers = planned.block.out_numbers();
                if planned.block.pool {
                    grow(&mut kept.which, n * numbers);
                }
                let to = match k == last {
                    true => &mut *output,
                    false => {
                        grow(&mut kept.output, n * numbers);
                        &mut kept.output
                    }
                };
                scratch.forward.at_least(planned.columns.scratch());
                let Size2 { h, w } = planned.block.input;
                let images = images.chunks_exact(planned.block.in_channels * h * w);
                for (i, image) in images.take(n).enumerate() {
                    let which = match planned.block.pool {
                        true => &mut kept.which[i * numbers..][..numbers],
                        false => &mut [],
                    };
                    let to = &mut to[i * numbers..][..numbers];
                    let scratch = &mut scratch.forward;
                    planned.forward(plan, &weights[k], image, scratch, to, which);
                }
            }
        });
    }

    /// From the gradients of the chunk's output to those of its images, where they are wanted; on the way the
    /// entries of each block.
    pub(super) fn backward(
        &mut self,
        plan: &Plan,
        inputs: &[Option<Inputs>],
        images: &[f32],
        output: Option<&[f32]>,
        grad: &[f32],
        grad_images: Option<&mut [f32]>,
    ) {
        self.blocks.resize_with(plan.blocks.len(), Kept::default);
        SCRATCH.with_borrow_mut(|scratch| {
            let last = plan.blocks.len() - 1;
            let n = self.images;
            let mut grad_images = grad_images;
            for (k, planned) in plan.blocks.iter().enumerate().rev() {
                std::mem::swap(&mut scratch.above, &mut scratch.planes);
                let block = &planned.block;
                let (before, rest) = self.blocks.split_at_mut(k);
                let kept = &mut rest[0];
                let images = before.last().map_or(images, |before| &before.output);
                planned.turn(&images[..n * block.in_numbers()], kept);
                let alive = Alive {
                    block,
                    outputs: if k == last {
                        output
                    } else {
                        Some(&kept.output)
                    },
                    grads: if k == last { grad } else { &scratch.above },
                    which: &kept.which,
                };
                alive.list(plan.level, n, &mut kept.list, &mut kept.ends);
                let Some(inputs) = &inputs[k] else {
                    continue;
                };
                let to = match (k, grad_images.take()) {
                    (0, Some(to)) => to,
                    (_, wanted) => {
                        grad_images = wanted;
                        grow(&mut scratch.planes, n * block.in_numbers());
                        &mut scratch.planes
                    }
                };
                scratch.gradient.at_least(inputs.len());
                for (i, to) in to.chunks_exact_mut(block.in_numbers()).take(n).enumerate() {
                    let gradient = &mut scratch.gradient[..inputs.len()];
                    let plane = |channel| alive.plane(i, channel);
                    inputs.run(plane, &mut scratch.flows, &mut scratch.sums, gradient);
                    block.crop(inputs, gradient, to);
                }
            }
        });
    }
}

impl Planned {
    fn forward(
        &self,
        plan: &Plan,
        weights: &Weights<'_>,
        image: &[f32],
        scratch: &mut [f32],
        to: &mut [f32],
        which: &mut [u8],
    ) {
        let found = self
            .columns
            .convolve(image, &weights.packed, weights.bias, scratch);
        let size = self.block.geometry.output;
        let (mut size, mut stride) = (size, self.columns.out_pixels());
        // Planes that lie close to each other are one.
        if stride == size.h * size.w && size.h.is_multiple_of(2) {
            size.h *= self.block.out_channels;
            stride *= self.block.out_channels;
        }
        let pixels = to.len() / (found.len() / stride);
        let planes = found.chunks_exact(stride);
        let planes = planes.map(|plane| &plane[..size.h * size.w]);
        let to = to.chunks_exact_mut(pixels);
        if self.block.pool {
            for ((plane, to), which) in planes.zip(to).zip(which.chunks_exact_mut(pixels)) {
                pool_relu(plan.level, plane, size, to, which);
            }
        } else {
            for (plane, to) in planes.zip(to) {
                only_relu(plane, to);
            }
        }
    }

    /// Images with their padding, a pixel's channels side by side.
    fn turn(&self, images: &[f32], kept: &mut Kept) {
        let Block {
            input, geometry, ..
        } = self.block;
        let (padded, pixel) = (self.block.padded(), self.windows.pixel());
        let plane = padded.h * padded.w * pixel;
        let images = images.chunks_exact(self.block.in_numbers());
        // The border stays 0: the images lie at the same places each time.
        let needed = images.len() * plane + self.windows.beyond();
        let to = kept.from.at_least(needed).chunks_exact_mut(plane);
        for (image, to) in images.zip(to) {
            let first = (geometry.before.h * padded.w + geometry.before.w) * pixel;
            for (c, plane) in image.chunks_exact(input.h * input.w).enumerate() {
                for (y, row) in plane.chunks_exact(input.w).enumerate() {
                    let to = &mut to[first + y * padded.w * pixel + c..];
                    for (to, &value) in to.iter_mut().step_by(pixel).zip(row) {
                        *to = value;
                    }
                }
            }
        }
    }
}

impl Block {
    /// The gradient of one image, channel after channel and without the padding.
    fn crop(&self, inputs: &Inputs, from: &[f32], to: &mut [f32]) {
        let before = self.geometry.before;
        let width = self.padded().w;
        for (c, plane) in to.chunks_exact_mut(self.input.h * self.input.w).enumerate() {
            let (start, pixel) = inputs.place(c);
            for (y, row) in plane.chunks_exact_mut(self.input.w).enumerate() {
                let first = (y + before.h) * width + before.w;
                let from = from[start + first * pixel..].iter().step_by(pixel);
                for (to, &value) in row.iter_mut().zip(from) {
                    *to = value;
                }
            }
        }
    }
}

/// What leaves a block, image after image, and its gradients.
struct Alive<'a> {
    block: &'a Block,
    /// Where a ReLU made them.
    outputs: Option<&'a [f32]>,
    grads: &'a [f32],
    which: &'a [u8],
}

impl Alive<'_> {
    fn plane(&self, image: usize, channel: usize) -> Plane<'_> {
        let size = self.block.output();
        let pixels = size.h * size.w;
        let own = (image * self.block.out_channels + channel) * pixels..;
        let which = if self.block.pool {
            &self.which[own.clone()][..pixels]
        } else {
            &[]
        };
        Plane {
            outputs: self.outputs.map(|outputs| &outputs[own.clone()][..pixels]),
            grads: &self.grads[own][..pixels],
            which,
            size,
        }
    }

    /// Those that the ReLU let through, of all images channel after channel; their places are counted through
    /// the padded images.
    fn list(&self, level: Level, images: usize, list: &mut List, ends: &mut Vec<usize>) {
        let padded = self.block.padded();
        list.clear(images * self.block.out_numbers(), self.block.output().w);
        ends.clear();
        for channel in 0..self.block.out_channels {
            for image in 0..images {
                let plane = self.plane(image, channel);
                let first = image * padded.h * padded.w;
                list.push(level, plane, 0..plane.rows(), first as u32, padded.w as u32);
            }
            ends.push(list.len());
        }
    }
}
