//! Layers one after another.

use std::fmt;

use candle_core::{Device, Tensor, Var};

use super::features::{Features, Stage};
use super::{Conv2d, Linear, MaxPool2d, Network, relu};
use crate::Result;

/// A layer of a [`Sequential`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Layer {
    /// A convolution.
    Conv2d(Conv2d),
    /// A max pooling.
    MaxPool2d(MaxPool2d),
    /// A fully connected layer.
    Linear(Linear),
    /// The rectifier.
    Relu(Relu),
    /// From (N, C, H, W) to (N, C·H·W).
    Flatten(Flatten),
}

/// The rectifier as a layer of a [`Sequential`]; [`relu`] by itself. Equivalent of `torch.nn.ReLU`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relu;

/// All dimensions but the first become one, as a layer of a [`Sequential`]. Equivalent of `torch.nn.Flatten`
/// with `start_dim=1` and `end_dim=-1`, its defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flatten;

macro_rules! layers {
    ($($Layer:ident),*) => {$(
        impl From<$Layer> for Layer {
            fn from(layer: $Layer) -> Self {
                Self::$Layer(layer)
            }
        }
    )*};
}
layers!(Conv2d, MaxPool2d, Linear, Relu, Flatten);

impl Layer {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv2d(layer) => layer.forward(input),
            Self::MaxPool2d(layer) => layer.forward(input),
            Self::Linear(layer) => layer.forward(input),
            Self::Relu(Relu) => relu(input),
            Self::Flatten(Flatten) => Ok(input.flatten_from(1)?),
        }
    }

    fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(match self {
            Self::Conv2d(layer) => Self::Conv2d(layer.to_device(device)?),
            Self::Linear(layer) => Self::Linear(layer.to_device(device)?),
            Self::MaxPool2d(_) | Self::Relu(_) | Self::Flatten(_) => self.clone(),
        })
    }

    pub(crate) fn named_parameters(&self) -> Vec<(String, Var)> {
        match self {
            Self::Conv2d(layer) => layer.named_parameters(),
            Self::Linear(layer) => layer.named_parameters(),
            Self::MaxPool2d(_) | Self::Relu(_) | Self::Flatten(_) => Vec::new(),
        }
    }
}

impl fmt::Display for Layer {
    /// What PyTorch's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv2d(layer) => layer.fmt(f),
            Self::MaxPool2d(layer) => layer.fmt(f),
            Self::Linear(layer) => layer.fmt(f),
            Self::Relu(Relu) => f.write_str("ReLU()"),
            Self::Flatten(Flatten) => f.write_str("Flatten(start_dim=1, end_dim=-1)"),
        }
    }
}

/// A network of layers, each of which takes what the one before it gives. Equivalent of `torch.nn.Sequential`.
///
/// [`sequential!`](crate::sequential) is the short way to make one. On the CPU in f32, convolutions with ReLU, and
/// with or without a 2×2 pooling, up to the first [`Linear`] after a [`Flatten`] are computed as one operation, an
/// image at a time: faster than the layers one by one, with the same results to the last bit. That takes convolutions
/// of stride 1 and one group, padded with zeros, and a bias in each layer; others are computed one by one. A clone
/// shares the parameters.
///
/// # Shape
///
/// Input what the first layer takes, output what the last gives; for the [`Trainer`](crate::train::Trainer) images
/// (N, C, H, W) and logits (N, classes).
///
/// # Differences from PyTorch
///
/// The layers are those of [`Layer`].
///
/// # Example
///
/// The small network of the book:
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let vb = var_builder(DType::F32, &Device::Cpu);
/// let net = sequential![
///     Conv2d::builder(1, 10, 5).build(vb.pp("0"))?,
///     MaxPool2d::builder(2).build()?,
///     Relu,
///     Conv2d::builder(10, 20, 5).build(vb.pp("3"))?,
///     MaxPool2d::builder(2).build()?,
///     Relu,
///     Flatten,
///     Linear::builder(320, 50).build(vb.pp("7"))?,
///     Relu,
///     Linear::builder(50, 10).build(vb.pp("9"))?,
/// ];
/// let images = Tensor::zeros((64, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&images)?.dims(), [64, 10]);
/// assert_eq!(net.parameter_count(), 21_840);
/// assert_eq!(net.named_parameters()[0].0, "0.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sequential {
    layers: Vec<Layer>,
    steps: Vec<Step>,
}

/// What is computed at once.
#[derive(Debug, Clone)]
enum Step {
    One(Layer),
    Features(Features, Linear),
}

impl Sequential {
    /// The network of these layers, first to last.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        let layers: Vec<Layer> = layers.into_iter().collect();
        let mut steps = Vec::new();
        let mut rest = &layers[..];
        while let Some((first, after)) = rest.split_first() {
            let step;
            (step, rest) = match features(rest) {
                Some((features, next, after)) => (Step::Features(features, next), after),
                None => (Step::One(first.clone()), after),
            };
            steps.push(step);
        }
        Self { layers, steps }
    }

    /// Its layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The same layers on `device`; where they are there already, ones that share the variables. Unlike
    /// PyTorch's `to(device)`, which moves a module, it leaves the originals where they are.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where the memory there does not suffice.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = self.layers.iter().map(|layer| layer.to_device(device));
        Ok(Self::new(moved.collect::<Result<Vec<_>>>()?))
    }
}

/// Where `layers` begin with convolutions, each with its ReLU, and go on to a linear layer: these as one, the linear
/// layer, and what comes after.
fn features(mut layers: &[Layer]) -> Option<(Features, Linear, &[Layer])> {
    let mut stages = Vec::new();
    loop {
        // Rectified and pooled is pooled and rectified.
        let (stage, rest) = match layers {
            [Layer::Flatten(_), Layer::Linear(next), rest @ ..] if !stages.is_empty() => {
                return Some((Features::new(stages), next.clone(), rest));
            }
            [
                Layer::Conv2d(conv),
                Layer::MaxPool2d(pool),
                Layer::Relu(_),
                rest @ ..,
            ]
            | [
                Layer::Conv2d(conv),
                Layer::Relu(_),
                Layer::MaxPool2d(pool),
                rest @ ..,
            ] => ((conv, Some(pool)), rest),
            [Layer::Conv2d(conv), Layer::Relu(_), rest @ ..] => ((conv, None), rest),
            _ => return None,
        };
        let (conv, pool) = stage;
        stages.push(Stage {
            conv: conv.clone(),
            pool: pool.cloned(),
        });
        layers = rest;
    }
}

impl Network for Sequential {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.steps
            .iter()
            .try_fold(images.clone(), |x, step| match step {
                Step::One(layer) => layer.forward(&x),
                Step::Features(features, next) => features.forward(&x, next),
            })
    }

    fn infer(&self, images: &Tensor) -> Result<Tensor> {
        let found = self
            .steps
            .iter()
            .try_fold(images.clone(), |x, step| match step {
                Step::One(layer) => layer.forward(&x),
                Step::Features(features, next) => features.infer(&x, next),
            })?;
        Ok(found.detach())
    }

    fn layers(&self) -> Option<Vec<Layer>> {
        Some(self.layers.clone())
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        let layers = self.layers.iter().enumerate();
        let named = layers.flat_map(|(i, layer)| {
            let parameters = layer.named_parameters().into_iter();
            parameters.map(move |(name, var)| (format!("{i}.{name}"), var))
        });
        named.collect()
    }
}

impl fmt::Display for Sequential {
    /// What PyTorch's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sequential(")?;
        for (i, layer) in self.layers.iter().enumerate() {
            write!(f, "\n  ({i}): {layer}")?;
        }
        f.write_str(if self.layers.is_empty() { ")" } else { "\n)" })
    }
}

/// A [`Sequential`](crate::nn::Sequential) of layers.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let vb = var_builder(DType::F32, &Device::Cpu);
/// let softmax = sequential![Flatten, Linear::builder(784, 10).build(vb.pp("1"))?];
/// assert_eq!(softmax.parameter_count(), 7850);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! sequential {
    ($($layer:expr),* $(,)?) => {
        $crate::nn::Sequential::new([$($crate::nn::Layer::from($layer)),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::var_builder;
    use crate::random::manual_seed;
    use candle_core::DType;

    fn conv(channels: usize, out_channels: usize) -> Layer {
        let vb = var_builder(DType::F32, &Device::Cpu);
        let conv = Conv2d::builder(channels, out_channels, 3).padding(1);
        Layer::Conv2d(conv.build(vb).unwrap())
    }

    fn pool(size: usize) -> Layer {
        Layer::MaxPool2d(MaxPool2d::builder(size).build().unwrap())
    }

    fn linear(inputs: usize) -> Layer {
        let vb = var_builder(DType::F32, &Device::Cpu);
        Layer::Linear(Linear::builder(inputs, 10).build(vb).unwrap())
    }

    fn bits(values: &Tensor) -> Vec<u32> {
        let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    /// The output and each parameter's gradient.
    fn run(net: &Sequential, output: Tensor) -> Vec<Vec<u32>> {
        let grads = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let parameters = net.parameters();
        let of = |var: &Var| bits(grads.get(var).unwrap());
        std::iter::once(bits(&output))
            .chain(parameters.iter().map(of))
            .collect()
    }

    #[test]
    fn it_gives_what_its_layers_give_one_by_one() {
        manual_seed(5);
        let (relu, flatten) = (Layer::Relu(Relu), Layer::Flatten(Flatten));
        let one = |layers: &[&Layer]| {
            layers
                .iter()
                .map(|&layer| layer.clone())
                .collect::<Vec<_>>()
        };
        // Which of the steps is features and linear layer as one.
        let cases = [
            (
                one(&[
                    &conv(1, 5),
                    &pool(2),
                    &relu,
                    &conv(5, 4),
                    &relu,
                    &flatten,
                    &linear(4 * 36),
                    &relu,
                ]),
                Some(0),
            ),
            (
                one(&[&conv(1, 5), &relu, &pool(2), &flatten, &linear(5 * 36)]),
                Some(0),
            ),
            (
                one(&[&conv(1, 2), &conv(2, 5), &relu, &flatten, &linear(5 * 144)]),
                Some(1),
            ),
            // Its windows are not 2×2: of the one operation nothing but the plan.
            (
                one(&[&conv(1, 5), &relu, &pool(3), &flatten, &linear(5 * 16)]),
                Some(0),
            ),
            (
                one(&[&conv(1, 5), &pool(2), &flatten, &linear(5 * 36), &relu]),
                None,
            ),
            (one(&[&flatten, &linear(144)]), None),
        ];
        for (layers, as_one) in cases {
            let net = Sequential::new(layers);
            let features = |step: &Step| matches!(step, Step::Features(..));
            assert_eq!(net.steps.iter().position(features), as_one, "{net}");
            let images = Tensor::randn(0f32, 1f32, (3, 1, 12, 12), &Device::Cpu).unwrap();
            let expected = net.layers.iter();
            let expected = expected.fold(images.clone(), |x, layer| layer.forward(&x).unwrap());
            let found = net.forward(&images).unwrap();
            assert_eq!(bits(&net.infer(&images).unwrap()), bits(&found), "{net}");
            assert_eq!(run(&net, found), run(&net, expected), "{net}");
        }
    }

    #[test]
    fn an_empty_one_gives_what_it_got() {
        let net = sequential![];
        let images = Tensor::ones((1, 2), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(bits(&net.forward(&images).unwrap()), bits(&images));
        assert_eq!(net.to_string(), "Sequential()");
        assert!(net.parameters().is_empty());
    }

    #[test]
    fn it_is_printed_as_pytorch_does() {
        let net = Sequential::new([
            conv(1, 5),
            pool(2),
            Relu.into(),
            Flatten.into(),
            linear(180),
        ]);
        let expected = "\
Sequential(
  (0): Conv2d(1, 5, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (1): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (2): ReLU()
  (3): Flatten(start_dim=1, end_dim=-1)
  (4): Linear(in_features=180, out_features=10, bias=True)
)";
        assert_eq!(net.to_string(), expected);
        let names: Vec<String> = net
            .named_parameters()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["0.weight", "0.bias", "4.weight", "4.bias"]);
    }
}
