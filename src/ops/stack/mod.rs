//! The convolutional part of a net as one operation of candle: convolution, pooling, ReLU, and again.
//!
//! An image goes through all blocks while it is in the cache, and no gradient between two blocks becomes a
//! tensor. On the way back only the gradients that are not zero are followed, see [`sparse`](super::sparse).

mod chunk;
mod plan;
mod pool;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::buffer::{elements, output, with_elements, zeros};
use super::simd::Level;
use super::sparse::Inputs;
use chunk::{Chunk, Weights};
pub(crate) use plan::Block;
use plan::Plan;

const NAME: &str = "stack";

/// Output channels beyond which a weight's sum runs through the whole batch; else it is summed in halves.
const WHOLE_BATCH: usize = 16;
/// How many output channels' weights a task sums.
const CHANNELS_A_TASK: usize = 5;
/// How many numbers of a block's input stay in the nearest cache.
const NEAR: usize = 6 << 10;

/// What is kept from step to step, so that nothing is allocated or planned twice.
#[derive(Default)]
pub(crate) struct Memory {
    plan: Mutex<Option<Arc<Plan>>>,
    chunks: Mutex<Vec<Chunk>>,
}

impl Memory {
    fn plan(&self, blocks: &[Block], level: Level) -> Arc<Plan> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        match &*plan {
            Some(plan) if plan.is_for(blocks) => plan.clone(),
            _ => {
                // Their padding lies elsewhere.
                self.chunks().clear();
                plan.insert(Arc::new(Plan::new(blocks, level))).clone()
            }
        }
    }

    fn chunks(&self) -> std::sync::MutexGuard<'_, Vec<Chunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_now(&self, other: &Arc<Plan>) -> bool {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.as_ref().is_some_and(|plan| Arc::ptr_eq(plan, other))
    }
}

/// Whether this processor has vectors for it.
pub(crate) fn available() -> bool {
    Level::detect().is_some()
}

/// `images` (N, C, H, W) of f32 on the CPU, where there is at least one; of each block its weight (out, in,
/// rows, columns) and bias. Gives what leaves the last block, (N, C′·H′·W′).
pub(crate) fn stack(
    images: &Tensor,
    blocks: &[Block],
    parameters: &[(&Tensor, &Tensor)],
    memory: &Arc<Memory>,
) -> Result<Tensor> {
    let Some(level) = Level::detect() else {
        bail!("{NAME}: this processor has no vectors for it");
    };
    let mut flat = Vec::with_capacity(2 * parameters.len());
    for (weight, bias) in parameters {
        flat.push(weight.flatten_all()?);
        flat.push((*bias).clone());
    }
    let parameters = Tensor::cat(&flat, 0)?;
    let plan = memory.plan(blocks, level);
    let op = StackOp {
        plan,
        memory: memory.clone(),
        chunks: Mutex::default(),
    };
    images.contiguous()?.apply_op2(&parameters, op)
}

struct StackOp {
    plan: Arc<Plan>,
    memory: Arc<Memory>,
    /// Filled by the forward pass.
    chunks: Mutex<Vec<Chunk>>,
}

impl Drop for StackOp {
    fn drop(&mut self) {
        if self.memory.is_now(&self.plan) {
            let chunks = self
                .chunks
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner);
            self.memory.chunks().append(chunks);
        }
    }
}

impl StackOp {
    fn chunks(&self) -> std::sync::MutexGuard<'_, Vec<Chunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> &Block {
        let blocks = &self.plan.blocks;
        &blocks[blocks.len() - 1].block
    }

    /// How many numbers an image has, and what leaves the stack of it.
    fn image_sizes(&self) -> (usize, usize) {
        let first = &self.plan.blocks[0].block;
        let image = first.in_channels * first.input.h * first.input.w;
        (image, self.last().out_numbers())
    }

    /// Each block's weights and biases.
    fn split<'a>(&'a self, parameters: &'a [f32]) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let mut rest = parameters;
        self.plan.blocks.iter().map(move |planned| {
            let own;
            (own, rest) = rest.split_at(planned.block.parameters());
            own.split_at(planned.block.weights())
        })
    }

    fn forward(&self, images: &[f32], parameters: &[f32]) -> Result<Vec<f32>> {
        let (image, out) = self.image_sizes();
        let weights: Vec<Weights<'_>> = self
            .split(parameters)
            .zip(&self.plan.blocks)
            .map(|((weight, bias), planned)| Weights {
                packed: planned.columns.pack(weight),
                bias,
            })
            .collect();
        let sizes = self.plan.tasks(images.len() / image);
        let mut chunks = self.chunks();
        {
            let mut free = self.memory.chunks();
            let left = free.len().saturating_sub(sizes.len());
            *chunks = free.split_off(left);
        }
        chunks.resize_with(sizes.len(), Chunk::default);
        let mut output = zeros(images.len() / image * out)?;
        let (mut images, mut rest) = (images, output.as_mut_slice());
        let mut tasks = Vec::with_capacity(sizes.len());
        for (chunk, n) in chunks.iter_mut().zip(sizes) {
            chunk.images = n;
            let (own, to);
            (own, images) = images.split_at(n * image);
            (to, rest) = rest.split_at_mut(n * out);
            tasks.push((chunk, own, to));
        }
        tasks
            .into_par_iter()
            .with_max_len(1)
            .for_each(|(chunk, images, to)| chunk.forward(&self.plan, &weights, images, to));
        Ok(output)
    }

    /// The gradients of images, where they are wanted, and parameters.
    fn backward(
        &self,
        images: &[f32],
        parameters: &[f32],
        output: &[f32],
        grad: &[f32],
        images_wanted: bool,
    ) -> Result<(Option<Vec<f32>>, Vec<f32>)> {
        let (image, out) = self.image_sizes();
        let mut grad_images = match images_wanted {
            true => Some(zeros(images.len())?),
            false => None,
        };
        let inputs: Vec<Option<Inputs>> = self
            .split(parameters)
            .zip(&self.plan.blocks)
            .enumerate()
            .map(|(k, ((weight, _), planned))| {
                let block = &planned.block;
                (k > 0 || images_wanted).then(|| {
                    let channels = (block.in_channels, block.out_channels);
                    let (kernel, dilation) = (block.geometry.kernel, block.geometry.dilation);
                    Inputs::new(
                        self.plan.level,
                        channels,
                        kernel,
                        dilation,
                        block.padded(),
                        weight,
                    )
                })
            })
            .collect();
        let mut chunks = self.chunks();
        let mut rest = grad_images.as_deref_mut();
        let mut first = 0;
        let mut tasks = Vec::with_capacity(chunks.len());
        for chunk in chunks.iter_mut() {
            let n = chunk.images;
            let of_images = match rest.take() {
                Some(all) => {
                    let (own, others) = all.split_at_mut(n * image);
                    rest = Some(others);
                    Some(own)
                }
                None => None,
            };
            let (own, outputs) = (
                first * image..(first + n) * image,
                first * out..(first + n) * out,
            );
            tasks.push((
                chunk,
                &images[own],
                &output[outputs.clone()],
                &grad[outputs],
                of_images,
            ));
            first += n;
        }
        tasks.into_par_iter().with_max_len(1).for_each(
            |(chunk, images, output, grad, of_images)| {
                chunk.backward(&self.plan, &inputs, images, output, grad, of_images);
            },
        );
        Ok((grad_images, self.parameter_gradients(&chunks)))
    }

    fn parameter_gradients(&self, chunks: &[Chunk]) -> Vec<f32> {
        let images: usize = chunks.iter().map(|chunk| chunk.images).sum();
        let first_half = images.div_ceil(2).div_ceil(self.plan.images);
        let mut tasks = Vec::new();
        // The last block's first: they take longest.
        for (k, planned) in self.plan.blocks.iter().enumerate().rev() {
            let out_channels = planned.block.out_channels;
            for start in (0..out_channels).step_by(CHANNELS_A_TASK) {
                let channels = start..out_channels.min(start + CHANNELS_A_TASK);
                let halves = match out_channels > WHOLE_BATCH {
                    true => vec![0..chunks.len()],
                    false => vec![0..first_half, first_half..chunks.len()],
                };
                tasks.extend(halves.into_iter().map(|part| Task {
                    block: k,
                    channels: channels.clone(),
                    part,
                    first_half,
                }));
            }
        }
        let done: Vec<Vec<f32>> = tasks
            .par_iter()
            .with_max_len(1)
            .map(|task| task.run(&self.plan, chunks))
            .collect();
        let mut all = vec![0.0; self.plan.blocks.iter().map(|b| b.block.parameters()).sum()];
        let mut places = Vec::new();
        let mut place = 0;
        for planned in &self.plan.blocks {
            places.push(place);
            place += planned.block.parameters();
        }
        for (task, sums) in tasks.iter().zip(&done) {
            task.add(&self.plan, sums, &mut all[places[task.block]..]);
        }
        all
    }
}

/// The weights and biases of some channels of a block, over some chunks.
struct Task {
    block: usize,
    channels: std::ops::Range<usize>,
    part: std::ops::Range<usize>,
    /// How many chunks the batch's first half has.
    first_half: usize,
}

impl Task {
    /// Channel after channel its sums, then the biases' of the batch's first half.
    fn run(&self, plan: &Plan, chunks: &[Chunk]) -> Vec<f32> {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let n = windows.sums();
        let count = self.channels.len();
        let mut sums = vec![0.0; count * n + count];
        let (own, first_biases) = sums.split_at_mut(count * n);
        // How many pixels' windows stay near.
        let width = planned.block.padded().w;
        let strip = (NEAR / (width * windows.pixel())).max(1) * width;
        for c in self.part.clone() {
            if c == self.first_half {
                for (sums, bias) in own.chunks_exact_mut(n).zip(&mut *first_biases) {
                    *bias = windows.take_bias(sums);
                }
            }
            let chunk = &chunks[c];
            let kept = &chunk.blocks[self.block];
            let pixels = chunk.images * width * planned.block.padded().h;
            let mut lists: Vec<_> = self.channels.clone().map(|o| kept.gradients(o)).collect();
            for end in (0..pixels).step_by(strip).map(|start| start + strip) {
                for ((values, at), sums) in lists.iter_mut().zip(own.chunks_exact_mut(n)) {
                    let there = match end >= pixels {
                        true => at.len(),
                        false => at.partition_point(|&at| (at as usize) < end),
                    };
                    let (now_values, now_at);
                    (now_values, *values) = values.split_at(there);
                    (now_at, *at) = at.split_at(there);
                    windows.add(now_values, now_at, kept.from(), sums);
                }
            }
        }
        sums
    }

    fn add(&self, plan: &Plan, sums: &[f32], to: &mut [f32]) {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let (weights, biases) = to.split_at_mut(planned.block.weights());
        let (own, first_biases) = sums.split_at(self.channels.len() * windows.sums());
        let each = own.chunks_exact(windows.sums()).zip(first_biases);
        for (channel, (sums, first_bias)) in self.channels.clone().zip(each) {
            let to = &mut weights[channel * windows.taps()..];
            for (to, weight) in to.iter_mut().zip(windows.weights(sums)) {
                *to += weight;
            }
            biases[channel] += first_bias;
            biases[channel] += windows.bias(sums);
        }
    }
}

impl CustomOp2 for StackOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let n = images_layout.shape().dims4()?.0;
        let images = elements::<f32>(images, images_layout)?;
        let parameters = elements::<f32>(parameters, parameters_layout)?;
        let found = self.forward(images, parameters)?;
        let each = found.len() / n;
        output(found, (n, each))
    }

    fn bwd(
        &self,
        images: &Tensor,
        parameters: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let wanted = images.track_op();
        let (of_images, of_parameters) = with_elements::<f32, _>(images, |x| {
            with_elements::<f32, _>(parameters, |w| {
                with_elements::<f32, _>(output, |y| {
                    with_elements::<f32, _>(&grad, |g| self.backward(x, w, y, g, wanted))
                })
            })
        })?;
        let device = images.device();
        let of_images = of_images
            .map(|values| Tensor::from_vec(values, images.shape(), device))
            .transpose()?;
        let of_parameters = Tensor::from_vec(of_parameters, parameters.shape(), device)?;
        Ok((of_images, Some(of_parameters)))
    }
}
