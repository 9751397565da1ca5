//! The way back through a stack, chunk after chunk.

use candle_core::Result;

use super::chunk::Chunk;
use super::each;
use super::plan::Plan;
use super::weights::parameter_gradients;
use crate::ops::buffer::zeros;
use crate::ops::sparse::Inputs;

/// What the way back needs.
pub(super) struct Backward<'a> {
    pub(super) plan: &'a Plan,
    /// Each block's weights.
    pub(super) weights: Vec<&'a [f32]>,
    pub(super) images: &'a [f32],
    /// What left the last block, where a ReLU made it.
    pub(super) output: Option<&'a [f32]>,
    /// Its gradient.
    pub(super) grad: &'a [f32],
    pub(super) images_wanted: bool,
}

impl Backward<'_> {
    /// The gradients of images, where they are wanted, and of each block's weights and biases.
    pub(super) fn run(&self, chunks: &mut [Chunk]) -> Result<(Option<Vec<f32>>, Vec<f32>)> {
        let blocks = &self.plan.blocks;
        let image = blocks[0].block.in_numbers();
        let out = blocks[blocks.len() - 1].block.out_numbers();
        let mut grad_images = match self.images_wanted {
            true => Some(zeros(self.images.len())?),
            false => None,
        };
        let inputs = self.inputs();
        let mut rest = grad_images.as_deref_mut();
        let mut first = 0;
        let mut tasks = Vec::with_capacity(chunks.len());
        for chunk in &mut *chunks {
            let n = chunk.images;
            let of_images = match rest.take() {
                Some(all) => {
                    let (own, others) = all.split_at_mut(n * image);
                    rest = Some(others);
                    Some(own)
                }
                None => None,
            };
            let images = &self.images[first * image..][..n * image];
            let outputs = first * out..(first + n) * out;
            let output = self.output.map(|output| &output[outputs.clone()]);
            tasks.push((chunk, images, output, &self.grad[outputs], of_images));
            first += n;
        }
        each(tasks, |(chunk, images, output, grad, of_images)| {
            chunk.backward(self.plan, &inputs, images, output, grad, of_images);
        });
        Ok((grad_images, parameter_gradients(self.plan, chunks)))
    }

    /// For each block whose input's gradient is needed.
    fn inputs(&self) -> Vec<Option<Inputs>> {
        let blocks = self.weights.iter().zip(&self.plan.blocks);
        blocks
            .enumerate()
            .map(|(k, (weight, planned))| {
                let block = &planned.block;
                let geometry = &block.geometry;
                (k > 0 || self.images_wanted).then(|| {
                    Inputs::new(
                        self.plan.level,
                        (block.in_channels, block.out_channels),
                        (geometry.kernel, geometry.dilation),
                        block.padded(),
                        weight,
                    )
                })
            })
            .collect()
    }
}
