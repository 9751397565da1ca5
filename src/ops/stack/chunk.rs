//! Some images of a batch on their way through the stack and back: what one task works on.

use std::cell::RefCell;

use super::plan::{Block, Plan, Planned};
use super::pool::{only_relu, pool_relu};
use crate::ops::sparse::{Entry, Flow, Inputs};
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
    pub(super) from: Vec<f32>,
    /// The outputs' gradients without the zeros, channel after channel; of each channel in the order of the
    /// images and their pixels.
    pub(super) entries: Vec<Entry>,
    /// Where those of each channel end.
    pub(super) ends: Vec<usize>,
}

impl Kept {
    pub(super) fn entries_of(&self, channel: usize) -> &[Entry] {
        let start = channel.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start..self.ends[channel]]
    }
}

/// Packed for the way forward, and the biases.
pub(super) struct Weights<'a> {
    pub(super) packed: Vec<f32>,
    pub(super) bias: &'a [f32],
}

#[derive(Default)]
struct Scratch {
    forward: Vec<f32>,
    /// The gradients of a block's input, one image after another.
    gradient: Vec<f32>,
    /// Of the block above.
    above: Vec<f32>,
    sums: Vec<f32>,
    flows: Vec<(Vec<Flow>, Vec<usize>)>,
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

/// Gradients of a block's outputs: where each channel begins, and how far the next row and pixel are.
struct Gradients<'a> {
    values: &'a [f32],
    image: usize,
    channel: &'a dyn Fn(usize) -> (usize, usize, usize),
}

impl Chunk {
    /// `images` and `output` are those of this chunk.
    pub(super) fn forward(
        &mut self,
        plan: &Plan,
        weights: &[Weights<'_>],
        images: &[f32],
        output: &mut [f32],
    ) {
        self.blocks.resize_with(plan.blocks.len(), Kept::default);
        SCRATCH.with_borrow_mut(|scratch| {
            let last = plan.blocks.len() - 1;
            let n = self.images;
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
                grow(&mut scratch.forward, planned.columns.scratch());
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
        output: &[f32],
        grad: &[f32],
        grad_images: Option<&mut [f32]>,
    ) {
        SCRATCH.with_borrow_mut(|scratch| {
            let last = plan.blocks.len() - 1;
            for (k, planned) in plan.blocks.iter().enumerate().rev() {
                std::mem::swap(&mut scratch.above, &mut scratch.gradient);
                let block = &planned.block;
                let (before, rest) = self.blocks.split_at_mut(k);
                let kept = &mut rest[0];
                let images = before.last().map_or(images, |before| &before.output);
                planned.turn(&images[..self.images * block.in_numbers()], &mut kept.from);
                let Size2 { h, w } = block.output();
                let plain = |channel| (channel * h * w, w, 1);
                let above = inputs.get(k + 1).and_then(Option::as_ref);
                let padding = plan.blocks.get(k + 1).map(|above| {
                    let before = above.block.geometry.before;
                    (
                        before.h * above.block.padded().w + before.w,
                        above.block.padded().w,
                    )
                });
                let padded = |channel| match (above, padding) {
                    (Some(above), Some((first, width))) => {
                        let (start, pixel) = above.place(channel);
                        (start + first * pixel, width * pixel, pixel)
                    }
                    _ => plain(channel),
                };
                let (grads, outputs) = match k == last {
                    true => (
                        Gradients {
                            values: grad,
                            image: block.out_numbers(),
                            channel: &plain,
                        },
                        output,
                    ),
                    false => (
                        Gradients {
                            values: &scratch.above,
                            image: above.map_or(0, Inputs::len),
                            channel: &padded,
                        },
                        kept.output.as_slice(),
                    ),
                };
                let alive = Alive {
                    block,
                    images: self.images,
                    outputs,
                    which: &kept.which,
                    grads,
                };
                alive.list(&mut kept.entries, &mut kept.ends);
                if let Some(inputs) = &inputs[k] {
                    let n = inputs.len();
                    grow(&mut scratch.gradient, n * self.images);
                    grow(&mut scratch.sums, n);
                    for (i, to) in scratch
                        .gradient
                        .chunks_exact_mut(n)
                        .take(self.images)
                        .enumerate()
                    {
                        alive.flows(i, inputs, &mut scratch.flows);
                        inputs.run(&scratch.flows, to, &mut scratch.sums);
                    }
                }
            }
            if let (Some(to), Some(inputs)) = (grad_images, &inputs[0]) {
                let block = &plan.blocks[0].block;
                let to = to.chunks_exact_mut(block.in_numbers());
                for (from, to) in scratch.gradient.chunks_exact(inputs.len()).zip(to) {
                    block.crop(inputs, from, to);
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
        let pixels = to.len() / self.block.out_channels;
        let planes = found.chunks_exact(self.columns.out_pixels());
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
    fn turn(&self, images: &[f32], to: &mut Vec<f32>) {
        let Block {
            in_channels: channels,
            input,
            geometry,
            ..
        } = self.block;
        let padded = self.block.padded();
        let plane = padded.h * padded.w * channels;
        let n = images.len() / self.block.in_numbers();
        let needed = n * plane + self.windows.beyond();
        // The border stays 0: the images lie at the same places each time.
        grow(to, needed);
        let images = images.chunks_exact(self.block.in_numbers());
        for (image, to) in images.zip(to.chunks_exact_mut(plane)) {
            let first = (geometry.before.h * padded.w + geometry.before.w) * channels;
            for (c, plane) in image.chunks_exact(input.h * input.w).enumerate() {
                for (y, row) in plane.chunks_exact(input.w).enumerate() {
                    let to = &mut to[first + y * padded.w * channels + c..];
                    for (to, &value) in to.iter_mut().step_by(channels).zip(row) {
                        *to = value;
                    }
                }
            }
        }
    }
}

impl Block {
    fn in_numbers(&self) -> usize {
        self.in_channels * self.input.h * self.input.w
    }

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

/// The outputs of some images that the ReLU let through, and their gradients.
struct Alive<'a> {
    block: &'a Block,
    images: usize,
    outputs: &'a [f32],
    which: &'a [u8],
    grads: Gradients<'a>,
}

impl Alive<'_> {
    /// Channel after channel, with `at` counted through the padded images.
    fn list(&self, entries: &mut Vec<Entry>, ends: &mut Vec<usize>) {
        let padded = self.block.padded();
        let numbers = self.block.out_numbers();
        // One more: the place after the last is written before it is known whether it counts.
        grow(entries, self.images * numbers + 1);
        ends.clear();
        let mut n = 0;
        for channel in 0..self.block.out_channels {
            for image in 0..self.images {
                let first = image * padded.h * padded.w;
                for y in 0..self.block.geometry.output.h {
                    self.row(image, channel, y, |value, x, there| {
                        let at = (first + y * padded.w + x) as u32;
                        entries[n] = Entry { value, at };
                        n += usize::from(there);
                    });
                }
            }
            ends.push(n);
        }
    }

    /// Of one image: for each block of channels row after row, channel after channel.
    fn flows(&self, image: usize, inputs: &Inputs, to: &mut Vec<(Vec<Flow>, Vec<usize>)>) {
        let width = self.block.padded().w;
        let pixels = self.block.out_numbers() / self.block.out_channels;
        to.resize_with(inputs.blocks().count(), Default::default);
        for (block, (flows, rows)) in inputs.blocks().zip(to) {
            grow(flows, block.len() * pixels + 1);
            rows.clear();
            let mut n = 0;
            for y in 0..self.block.geometry.output.h {
                rows.push(n);
                for (channel, o) in (0u32..).zip(block.clone()) {
                    self.row(image, o, y, |value, x, there| {
                        flows[n] = Flow {
                            value,
                            channel,
                            at: (y * width + x) as u32,
                        };
                        n += usize::from(there);
                    });
                }
            }
            rows.push(n);
        }
    }

    /// Calls `each` with the gradient, the column and whether there is one, of row `y` of the convolution's
    /// output, without a branch: which are there is as good as random.
    #[inline(always)]
    fn row(&self, image: usize, channel: usize, y: usize, mut each: impl FnMut(f32, usize, bool)) {
        let Size2 { h, w } = self.block.output();
        let (row, window) = if self.block.pool { (y / 2, 2) } else { (y, 1) };
        if row >= h {
            return;
        }
        let first = image * self.block.out_numbers() + (channel * h + row) * w;
        let outputs = &self.outputs[first..first + w];
        let (start, next_row, next) = (self.grads.channel)(channel);
        let grads = &self.grads.values[image * self.grads.image + start + row * next_row..];
        let each_output = outputs.iter().zip(grads.iter().step_by(next));
        if self.block.pool {
            let which = &self.which[first..first + w];
            for ((x, (&output, &grad)), &which) in (0..).zip(each_output).zip(which) {
                let there = !(output <= 0.0) & (usize::from(which >> 1) == y % 2);
                each(grad, window * x + usize::from(which & 1), there);
            }
        } else {
            for (x, (&output, &grad)) in (0..).zip(each_output) {
                each(grad, x, !(output <= 0.0));
            }
        }
    }
}
