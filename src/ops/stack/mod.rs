//! The convolutional part of a net as one operation of candle: convolution, pooling, ReLU, and again.
//!
//! An image goes through all blocks while it is in the cache, and no gradient between two blocks becomes a
//! tensor. On the way back only the gradients that are not zero are followed, see [`sparse`](super::sparse).

mod backward;
mod chunk;
mod plan;
mod pool;
mod single;
mod weights;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::buffer::{elements, output, with_elements, zeros};
use super::simd::Level;
use backward::Backward;
use chunk::{Chunk, Weights};
pub(crate) use plan::Block;
use plan::Plan;
pub(super) use single::{backward, is_sparse};

const NAME: &str = "stack";

/// What is kept from step to step, so that nothing is allocated or planned twice.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plan: Option<Arc<Plan>>,
    /// Of this plan; the padding in another's lies elsewhere.
    chunks: Vec<Chunk>,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, blocks: &[Block], level: Level) -> Arc<Plan> {
        let mut kept = self.kept();
        match &kept.plan {
            Some(plan) if plan.is_for(blocks) => plan.clone(),
            _ => {
                kept.chunks.clear();
                let plan = Arc::new(Plan::new(blocks, level));
                kept.plan.insert(plan).clone()
            }
        }
    }

    /// At most `n` chunks that were used with this plan.
    fn take(&self, plan: &Arc<Plan>, n: usize) -> Vec<Chunk> {
        let mut kept = self.kept();
        match kept.is_of(plan) {
            true => {
                let left = kept.chunks.len().saturating_sub(n);
                kept.chunks.split_off(left)
            }
            false => Vec::new(),
        }
    }

    fn give(&self, plan: &Arc<Plan>, chunks: &mut Vec<Chunk>) {
        let mut kept = self.kept();
        if kept.is_of(plan) {
            kept.chunks.append(chunks);
        }
    }
}

impl Kept {
    fn is_of(&self, other: &Arc<Plan>) -> bool {
        self.plan
            .as_ref()
            .is_some_and(|plan| Arc::ptr_eq(plan, other))
    }
}

/// Whether this processor has vectors for it.
pub(crate) fn available() -> bool {
    Level::detect().is_some()
}

/// `images` (N, C, H, W) of f32 on the CPU, where there is at least one; of each block its weight (out, in,
/// rows, columns) and bias. Gives what leaves the last block, (N, C′·H′·W′). Where none of them is tracked, nothing
/// is kept for a way back.
pub(crate) fn stack(
    images: &Tensor,
    blocks: &[Block],
    parameters: &[(Tensor, Tensor)],
    memory: &Arc<Memory>,
) -> Result<Tensor> {
    let Some(level) = Level::detect() else {
        bail!("{NAME}: this processor has no vectors for it");
    };
    let mut flat = Vec::with_capacity(2 * parameters.len());
    for (weight, bias) in parameters {
        flat.push(weight.flatten_all()?);
        flat.push(bias.clone());
    }
    let parameters = Tensor::cat(&flat, 0)?;
    let plan = memory.plan(blocks, level);
    let op = StackOp {
        plan,
        memory: memory.clone(),
        keep: images.track_op() || parameters.track_op(),
        chunks: Mutex::default(),
    };
    images.contiguous()?.apply_op2(&parameters, op)
}

thread_local! {
    /// For images of which nothing is kept; a task's stay in the cache.
    static PASSING: RefCell<Chunk> = RefCell::default();
}

/// Each task on some thread; one alone here, since to hand it over takes as long as an image.
fn each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
    match tasks.len() {
        1 => tasks.into_iter().for_each(work),
        _ => tasks.into_par_iter().with_max_len(1).for_each(work),
    }
}

struct StackOp {
    plan: Arc<Plan>,
    memory: Arc<Memory>,
    /// Whether there may be a way back.
    keep: bool,
    /// Filled by the forward pass, where they are kept.
    chunks: Mutex<Vec<Chunk>>,
}

impl Drop for StackOp {
    fn drop(&mut self) {
        let chunks = self.chunks.get_mut();
        let chunks = chunks.unwrap_or_else(PoisonError::into_inner);
        self.memory.give(&self.plan, chunks);
    }
}

impl StackOp {
    fn chunks(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut output = zeros(images.len() / image * out)?;
        let (mut images, mut rest) = (images, output.as_mut_slice());
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
        Ok(output)
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
        let (of_images, of_parameters) = with_elements::<f32, _>(images, |x| {
            with_elements::<f32, _>(parameters, |w| {
                with_elements::<f32, _>(output, |y| {
                    with_elements::<f32, _>(&grad, |g| {
                        let backward = Backward {
                            plan: &self.plan,
                            weights: self.split(w).map(|(weight, _)| weight).collect(),
                            images: x,
                            output: Some(y),
                            grad: g,
                            images_wanted: images.track_op(),
                        };
                        backward.run(&mut self.chunks())
                    })
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
