//! The operation: what candle calls.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::backward::Backward;
use super::chunk::{Chunk, Weights};
use super::plan::{Block, Plan};
use super::{Memory, Passed, each};
use crate::ops::backward::hand_over;
use crate::ops::buffer::{elements, fits, output, with_elements, zeros};
use crate::ops::linear;
use crate::ops::simd::Level;

const NAME: &str = "stack";

/// `images` (N, C, H, W) of f32 on the CPU, where there is at least one; of each block its weight (out, in,
/// rows, columns) and bias; of the linear layer, weight (out, C′·H′·W′) and bias. Gives (N, out). Where none of
/// them is tracked, nothing is kept for a way back.
pub(crate) fn stack_then_linear(
    images: &Tensor,
    blocks: &[Block],
    parameters: &[(Tensor, Tensor)],
    (weight, bias): (&Tensor, &Tensor),
    memory: &Arc<Memory>,
) -> Result<Tensor> {
    let Some(level) = Level::detect() else {
        bail!("{NAME}: this processor has no vectors for it");
    };
    // An operation takes three tensors.
    let mut flat = Vec::with_capacity(2 * parameters.len() + 1);
    for (weight, bias) in parameters {
        flat.push(weight.flatten_all()?);
        flat.push(bias.clone());
    }
    flat.push(bias.clone());
    let parameters = Tensor::cat(&flat, 0)?;
    let weight = weight.contiguous()?;
    let op = StackOp {
        plan: memory.plan(blocks, level),
        keep: images.track_op() || parameters.track_op() || weight.track_op(),
        chunks: Mutex::default(),
        passed: Mutex::new(memory.take_passed()),
        memory: memory.clone(),
    };
    images.contiguous()?.apply_op3(&parameters, &weight, op)
}

thread_local! {
    /// For images of which nothing is kept; a task's stay in the cache.
    static PASSING: RefCell<Chunk> = RefCell::default();
}

struct StackOp {
    plan: Arc<Plan>,
    memory: Arc<Memory>,
    /// Whether there may be a way back.
    keep: bool,
    /// Filled by the forward pass, where they are kept.
    chunks: Mutex<Vec<Chunk>>,
    passed: Mutex<Passed>,
}

impl Drop for StackOp {
    fn drop(&mut self) {
        let passed = std::mem::take(&mut *self.passed());
        let mut chunks = std::mem::take(&mut *self.chunks());
        self.memory.give(&self.plan, &mut chunks, passed);
    }
}

impl StackOp {
    fn chunks(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many numbers an image has, and what leaves the stack of it.
    fn image_sizes(&self) -> (usize, usize) {
        let blocks = &self.plan.blocks;
        let last = &blocks[blocks.len() - 1].block;
        (blocks[0].block.in_numbers(), last.out_numbers())
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

    /// `output` is what leaves the stack.
    fn forward(&self, images: &[f32], parameters: &[f32], output: &mut [f32]) {
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
        let (mut images, mut rest) = (images, output);
        let parts = sizes.iter().map(|&n| {
            let own = images.split_off(..n * image).unwrap_or_default();
            (n, own, rest.split_off_mut(..n * out).unwrap_or_default())
        });
        if self.keep {
            let mut chunks = self.chunks();
            *chunks = self.memory.take(&self.plan, sizes.len());
            chunks.resize_with(sizes.len(), Chunk::default);
            let tasks: Vec<_> = chunks.iter_mut().zip(parts).collect();
            each(tasks, |(chunk, (n, images, to))| {
                chunk.forward(&self.plan, &weights, n, images, to)
            });
        } else {
            let tasks: Vec<_> = parts.collect();
            each(tasks, |(n, images, to)| {
                PASSING.with_borrow_mut(|chunk| {
                    chunk.forward(&self.plan, &weights, n, images, to);
                });
            });
        }
    }
}

/// The first `n` of what may be longer.
fn room(buffer: &mut Vec<f32>, n: usize) -> Result<&mut [f32]> {
    if buffer.len() < n {
        if !fits::<f32>(n, 1) {
            bail!("{n} numbers do not fit into memory; use a smaller batch or image");
        }
        buffer.resize(n, 0.0);
    }
    Ok(&mut buffer[..n])
}

impl CustomOp3 for StackOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let n = images_layout.shape().dims4()?.0;
        let (outputs, inputs) = weight_layout.shape().dims2()?;
        let images = elements::<f32>(images, images_layout)?;
        let parameters = elements::<f32>(parameters, parameters_layout)?;
        let weight = elements::<f32>(weight, weight_layout)?;
        let (parameters, bias) = parameters.split_at(parameters.len() - outputs);
        let mut passed = self.passed();
        let values = room(&mut passed.values, n * inputs)?;
        self.forward(images, parameters, values);
        let mut found = zeros(n * outputs)?;
        let weight = (weight, (outputs, inputs));
        linear::outputs(&mut found, values, weight, Some(bias));
        output(found, (n, outputs))
    }

    fn bwd(
        &self,
        images: &Tensor,
        parameters: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let n = images.dim(0)?;
        let (outputs, inputs) = weight.dims2()?;
        let mut linear = linear::Gradients {
            weight: zeros(outputs * inputs)?,
            bias: zeros(outputs)?,
        };
        let mut passed = self.passed();
        let Passed { values, grad: back } = &mut *passed;
        let (values, back) = (room(values, n * inputs)?, room(back, n * inputs)?);
        with_elements::<f32, _>(&grad.contiguous()?, |g| {
            with_elements::<f32, _>(weight, |w| {
                linear.of(Some(&mut *back), values, (w, (outputs, inputs)), g, n);
                Ok(())
            })
        })?;
        let (of_images, mut of_parameters) = with_elements::<f32, _>(images, |x| {
            with_elements::<f32, _>(parameters, |p| {
                let backward = Backward {
                    plan: &self.plan,
                    weights: self.split(p).map(|(weight, _)| weight).collect(),
                    images: x,
                    output: Some(values),
                    grad: back,
                    images_wanted: images.track_op(),
                };
                backward.run(&mut self.chunks())
            })
        })?;
        of_parameters.extend(linear.bias);
        let device = images.device();
        let of_images = of_images.map(|of| Tensor::from_vec(of, images.shape(), device));
        let of_weight = Tensor::from_vec(linear.weight, weight.shape(), device)?;
        Ok((
            of_images.transpose()?,
            Some(Tensor::from_vec(of_parameters, parameters.shape(), device)?),
            hand_over(weight, of_weight),
        ))
    }
}
