//! The convolutional part of a net: convolution, max pooling, ReLU, and again; and the step to its linear layers.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};

use super::{Conv2d, Linear, MaxPool2d, relu};
use crate::Result;
use crate::ops::stack::{self, Block, Memory, stack_then_linear};
use crate::size::Size2;

/// Layers that give what leaves the last of them, flattened, to a linear layer. On the CPU in f32 all of it is one
/// operation; its results and gradients are to the last bit those of the layers one by one.
#[derive(Clone)]
pub(super) struct Features {
    layers: Vec<Stage>,
    memory: Arc<Memory>,
}

/// A convolution, a pooling or none, and a ReLU.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) conv: Conv2d,
    pub(super) pool: Option<MaxPool2d>,
}

impl Features {
    pub(super) fn new(layers: Vec<Stage>) -> Self {
        Self {
            layers,
            memory: Arc::default(),
        }
    }

    /// What `next` gives of it.
    pub(super) fn forward(&self, images: &Tensor, next: &Linear) -> Result<Tensor> {
        match self.in_one(images, next, |tensor| tensor.clone()) {
            Some(found) => found,
            None => next.forward(&self.one_by_one(images)?),
        }
    }

    /// As [`forward`](Self::forward), where no gradient will be asked for.
    pub(super) fn infer(&self, images: &Tensor, next: &Linear) -> Result<Tensor> {
        match self.in_one(images, next, Tensor::detach) {
            Some(found) => found,
            None => next.forward(&self.one_by_one(images)?),
        }
    }

    /// As one operation, on what `view` makes of the images and the parameters; where that takes them.
    fn in_one(
        &self,
        images: &Tensor,
        next: &Linear,
        view: impl Fn(&Tensor) -> Tensor,
    ) -> Option<Result<Tensor>> {
        let blocks = self.blocks(images)?;
        let (weight, bias) = (next.weight(), next.bias()?);
        if weight.dtype() != DType::F32 || weight.dim(1).ok()? != blocks.last()?.out_numbers() {
            return None;
        }
        let parameters = self.layers.iter().map(|layer| {
            let (weight, bias) = (layer.conv.weight(), layer.conv.bias()?);
            Some((view(weight), view(bias)))
        });
        let parameters: Vec<_> = parameters.collect::<Option<_>>()?;
        let next = (&view(weight), &view(bias));
        let found = stack_then_linear(&view(images), &blocks, &parameters, next, &self.memory);
        Some(found.map_err(Into::into))
    }

    fn one_by_one(&self, images: &Tensor) -> Result<Tensor> {
        let mut x = images.clone();
        for Stage { conv, pool } in &self.layers {
            x = conv.forward(&x)?;
            if let Some(pool) = pool {
                x = pool.forward(&x)?;
            }
            x = relu(&x)?;
        }
        Ok(x.flatten_from(1)?)
    }

    /// The layers for these images, where one operation takes them.
    fn blocks(&self, images: &Tensor) -> Option<Vec<Block>> {
        let [n, _, h, w] = *images.dims() else {
            return None;
        };
        let fits = images.device().is_cpu() && images.dtype() == DType::F32;
        if !fits || n == 0 || !stack::available() {
            return None;
        }
        let mut channels = images.dims()[1];
        let mut size = Size2 { h, w };
        let mut blocks = Vec::with_capacity(self.layers.len());
        for Stage { conv, pool } in &self.layers {
            let block = conv.block(channels, size, pool.as_ref())?;
            (channels, size) = (block.out_channels, block.output());
            blocks.push(block);
        }
        Some(blocks)
    }

    pub(super) fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |Stage { conv, pool }: &Stage| {
            let (conv, pool) = (conv.to_device(device)?, pool.clone());
            Ok(Stage { conv, pool })
        };
        Ok(Self::new(
            self.layers.iter().map(moved).collect::<Result<_>>()?,
        ))
    }

    pub(super) fn layers(&self) -> &[Stage] {
        &self.layers
    }

    /// `conv1`, `conv2`, … with their parameters.
    pub(super) fn named_parameters(&self) -> impl Iterator<Item = (String, Vec<(String, Var)>)> {
        let layers = self.layers.iter().zip(1..);
        layers.map(|(layer, i)| (format!("conv{i}"), layer.conv.named_parameters()))
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.layers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::var_builder;
    use crate::random::manual_seed;

    /// Channels in and out, kernel, padding, dilation and pooling of each layer.
    type Sizes = (usize, usize, (usize, usize), usize, (usize, usize), bool);

    fn layers(sizes: &[Sizes]) -> Vec<Stage> {
        let layer = |(i, &(channels, out, kernel, padding, dilation, pool)): (usize, &Sizes)| {
            let vb = var_builder(DType::F32, &Device::Cpu).pp(format!("conv{i}"));
            let conv = Conv2d::builder(channels, out, kernel)
                .padding(padding)
                .dilation(dilation)
                .build(vb);
            let pool = pool.then(|| MaxPool2d::builder(2).build().unwrap());
            Stage {
                conv: conv.unwrap(),
                pool,
            }
        };
        sizes.iter().enumerate().map(layer).collect()
    }

    /// The output and all gradients, the images' first.
    fn run(features: &Features, next: &Linear, images: &Var, whole: bool) -> Vec<Tensor> {
        let output = match whole {
            true => features.forward(images, next),
            false => next.forward(&features.one_by_one(images).unwrap()),
        };
        let output = output.unwrap();
        let grads = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut parameters: Vec<_> = features.named_parameters().collect();
        parameters.push(("fc1".into(), next.named_parameters()));
        let parameters = parameters.into_iter().flat_map(|(_, named)| named);
        let mut all = vec![output, grads.get(images).unwrap().clone()];
        all.extend(parameters.map(|(_, var)| grads.get(&var).unwrap().clone()));
        all
    }

    #[test]
    fn as_the_layers_one_by_one() {
        manual_seed(3);
        let (one, two) = ((1, 1), (2, 1));
        let small = [
            (1, 10, (5, 5), 0, one, true),
            (10, 20, (5, 5), 0, one, true),
        ];
        let large = [
            (1, 32, (3, 3), 0, one, false),
            (32, 64, (3, 3), 0, one, true),
        ];
        let odd = [
            (3, 17, (3, 2), 1, two, true),
            (17, 33, (2, 4), 2, (1, 2), false),
            (33, 5, (1, 1), 0, one, true),
        ];
        for (sizes, (h, w)) in [(&small[..], (28, 28)), (&large, (28, 28)), (&odd, (19, 22))] {
            let features = Features::new(layers(sizes));
            // Batches grow and sizes alternate: what is kept of one must not reach another.
            for (n, more) in [(1, 0), (5, 0), (2, 3), (5, 3), (5, 0), (11, 0)] {
                let shape = (n, sizes[0].0, h + more, w);
                let images = Tensor::randn(0f32, 1f32, shape, &Device::Cpu).unwrap();
                let images = Var::from_tensor(&images).unwrap();
                let blocks = features.blocks(&images);
                assert!(!stack::available() || blocks.is_some());
                let numbers = features.one_by_one(&images).unwrap().dim(1).unwrap();
                let next = Linear::builder(numbers, if n % 2 == 1 { 7 } else { 40 });
                let next = next.build(var_builder(DType::F32, &Device::Cpu)).unwrap();
                let whole = run(&features, &next, &images, true);
                let layers = run(&features, &next, &images, false);
                for (i, (found, expected)) in whole.iter().zip(&layers).enumerate() {
                    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let (found, expected) = (values(found), values(expected));
                    let pairs = found.iter().zip(&expected);
                    let wrong = pairs.filter(|(found, expected)| found != expected).count();
                    let of = found.len();
                    assert_eq!(
                        wrong, 0,
                        "{shape:?}, {sizes:?}: {wrong} of {of} of tensor {i}"
                    );
                }
                let inferred = features.infer(&images, &next).unwrap();
                assert!(!inferred.track_op());
                let values = |t: &Tensor| t.to_vec2::<f32>().unwrap();
                assert_eq!(values(&inferred), values(&whole[0]));
            }
        }
    }
}
