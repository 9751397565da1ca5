//! What the trainer trains, and the two networks of the book.

use std::fmt;

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;

use super::features::{Features, Stage};
use super::{Conv2d, Flatten, Layer, Linear, MaxPool2d, Relu, relu, state};
use crate::state::StateDict;
use crate::{Error, Result};

/// Whatever turns a batch of images into logits, one for each class, and can be trained.
///
/// Threads share it: layers, tensors and variables can be shared, a `Cell` cannot.
///
/// # Example
///
/// The smallest network there is, one fully connected layer:
///
/// ```
/// use candlelight::prelude::*;
///
/// struct Softmax(Linear);
///
/// impl Network for Softmax {
///     fn forward(&self, images: &Tensor) -> Result<Tensor> {
///         self.0.forward(&images.flatten_from(1)?)
///     }
///
///     fn named_parameters(&self) -> Vec<(String, Var)> {
///         self.0.named_parameters()
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let net = Softmax(Linear::builder(784, 10).build(var_builder(DType::F32, &Device::Cpu))?);
/// let images = Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&images)?.dims(), [2, 10]);
/// assert_eq!(net.parameter_count(), 7850);
/// # Ok(())
/// # }
/// ```
pub trait Network: Send + Sync {
    /// The logits (N, classes) of a batch of images (N, C, H, W).
    ///
    /// # Errors
    ///
    /// Those of the layers inside.
    fn forward(&self, images: &Tensor) -> Result<Tensor>;

    /// The same logits where no gradient will be asked for, as under `torch.no_grad`. It may leave out what is kept
    /// for the gradients; a network that has nothing to leave out need not implement it.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    fn infer(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.forward(images)?.detach())
    }

    /// Its layers, first to last, where the network does nothing but apply each to the output of the one before it.
    /// A GPU may then compute them as one: see [`Trainer`](crate::train::Trainer). None by default.
    fn layers(&self) -> Option<Vec<Layer>> {
        None
    }

    /// All parameters with their names, in PyTorch's order: `conv1.weight`, `conv1.bias`, …
    fn named_parameters(&self) -> Vec<(String, Var)>;

    /// All parameters, in the same order: what an optimizer takes.
    fn parameters(&self) -> Vec<Var> {
        let named = self.named_parameters();
        named.into_iter().map(|(_, var)| var).collect()
    }

    /// How many numbers the network learns.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|var| var.elem_count()).sum()
    }

    /// A copy of all parameters under their names. Equivalent of `torch.nn.Module.state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where there is no memory.
    fn state_dict(&self) -> Result<StateDict> {
        state::state_dict(self)
    }

    /// Takes the parameters of a network with the same layers. Equivalent of
    /// `torch.nn.Module.load_state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongState`](crate::Error::WrongState), which names the tensor, where one is missing,
    /// has no place here, or has another shape or dtype. Then nothing has changed.
    ///
    /// # Example
    ///
    /// Back to the first weights:
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let first = net.state_dict()?;
    /// let mut sgd = Sgd::builder(net.parameters(), 0.1).build()?;
    /// let images = Tensor::rand(0f32, 1f32, (2, 1, 28, 28), &Device::Cpu)?;
    /// let before = net.forward(&images)?;
    /// sgd.step(&before.sqr()?.sum_all()?.backward()?)?;
    /// net.load_state_dict(&first)?;
    /// assert_eq!(net.forward(&images)?.to_vec2::<f32>()?, before.to_vec2::<f32>()?);
    /// # Ok(())
    /// # }
    /// ```
    fn load_state_dict(&self, state: &StateDict) -> Result<()> {
        state::assign(self, state, "load_state_dict".into())
    }
}

/// The small network: two convolutions of 5×5, two fully connected layers, 21,840 parameters.
///
/// conv1 1→10 k5, max pool 2, ReLU, conv2 10→20 k5, max pool 2, ReLU, flatten, fc1 320→50, ReLU,
/// fc2 50→10. A clone shares the parameters.
///
/// # Shape
///
/// Images (N, 1, 28, 28), logits (N, 10).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let images = Tensor::zeros((64, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&images)?.dims(), [64, 10]);
/// assert_eq!(net.parameter_count(), 21_840);
/// assert_eq!(net.named_parameters()[0].0, "conv1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Net {
    features: Features,
    fc1: Linear,
    fc2: Linear,
}

impl Net {
    /// The network, with its weights taken from `vb`.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where `vb` has other shapes.
    pub fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let pool = Some(MaxPool2d::builder(2).build()?);
        let layer = |channels, out_channels, name| {
            let conv = Conv2d::builder(channels, out_channels, 5).build(vb.pp(name))?;
            let pool = pool.clone();
            Ok::<_, Error>(Stage { conv, pool })
        };
        let layers = vec![layer(1, 10, "conv1")?, layer(10, 20, "conv2")?];
        Ok(Self {
            features: Features::new(layers),
            fc1: Linear::builder(320, 50).build(vb.pp("fc1"))?,
            fc2: Linear::builder(50, 10).build(vb.pp("fc2"))?,
        })
    }

    /// The network on `device`; where it is there already, one that shares the variables. Unlike PyTorch's
    /// `to(device)`, which moves a module, it leaves the original where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where the memory there does not suffice.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            features: self.features.to_device(device)?,
            fc1: self.fc1.to_device(device)?,
            fc2: self.fc2.to_device(device)?,
        })
    }
}

impl Network for Net {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        logits(self.features.forward(images, &self.fc1)?, &self.fc2)
    }

    fn infer(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.features.infer(images, &self.fc1)?;
        Ok(logits(x, &self.fc2)?.detach())
    }

    fn layers(&self) -> Option<Vec<Layer>> {
        Some(layers(&self.features, [&self.fc1, &self.fc2]))
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        named(&self.features, [&self.fc1, &self.fc2])
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, "Net", &self.features, [&self.fc1, &self.fc2])
    }
}

/// The larger network: two convolutions of 3×3, two fully connected layers, 1,199,882 parameters.
///
/// conv1 1→32 k3, ReLU, conv2 32→64 k3, ReLU, max pool 2, flatten, fc1 9216→128, ReLU, fc2 128→10:
/// PyTorch's MNIST example without its dropout and its `log_softmax`, which is in the loss here. A clone
/// shares the parameters.
///
/// # Shape
///
/// Images (N, 1, 28, 28), logits (N, 10).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let net = LargeNet::new(var_builder(DType::F32, &Device::Cpu))?;
/// let images = Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&images)?.dims(), [2, 10]);
/// assert_eq!(net.parameter_count(), 1_199_882);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LargeNet {
    features: Features,
    fc1: Linear,
    fc2: Linear,
}

impl LargeNet {
    /// The network, with its weights taken from `vb`.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where `vb` has other shapes.
    pub fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let layer = |channels, out_channels, name, pool| {
            let conv = Conv2d::builder(channels, out_channels, 3).build(vb.pp(name))?;
            Ok::<_, Error>(Stage { conv, pool })
        };
        // The pooling of what a ReLU let through is the ReLU of what the pooling took.
        let pool = Some(MaxPool2d::builder(2).build()?);
        let layers = vec![layer(1, 32, "conv1", None)?, layer(32, 64, "conv2", pool)?];
        Ok(Self {
            features: Features::new(layers),
            fc1: Linear::builder(9216, 128).build(vb.pp("fc1"))?,
            fc2: Linear::builder(128, 10).build(vb.pp("fc2"))?,
        })
    }

    /// The network on `device`; where it is there already, one that shares the variables. Unlike PyTorch's
    /// `to(device)`, which moves a module, it leaves the original where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where the memory there does not suffice.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            features: self.features.to_device(device)?,
            fc1: self.fc1.to_device(device)?,
            fc2: self.fc2.to_device(device)?,
        })
    }
}

impl Network for LargeNet {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        logits(self.features.forward(images, &self.fc1)?, &self.fc2)
    }

    fn infer(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.features.infer(images, &self.fc1)?;
        Ok(logits(x, &self.fc2)?.detach())
    }

    fn layers(&self) -> Option<Vec<Layer>> {
        Some(layers(&self.features, [&self.fc1, &self.fc2]))
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        named(&self.features, [&self.fc1, &self.fc2])
    }
}

impl fmt::Display for LargeNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, "LargeNet", &self.features, [&self.fc1, &self.fc2])
    }
}

fn layers(features: &Features, [fc1, fc2]: [&Linear; 2]) -> Vec<Layer> {
    let stages = features.layers().iter().flat_map(|Stage { conv, pool }| {
        let pool = pool.clone().map(Layer::from);
        [Some(conv.clone().into()), pool, Some(Relu.into())]
            .into_iter()
            .flatten()
    });
    let rest = [
        Flatten.into(),
        fc1.clone().into(),
        Relu.into(),
        fc2.clone().into(),
    ];
    stages.chain(rest).collect()
}

fn logits(hidden: Tensor, fc2: &Linear) -> Result<Tensor> {
    fc2.forward(&relu(&hidden)?)
}

fn named(features: &Features, linear: [&Linear; 2]) -> Vec<(String, Var)> {
    let linear = linear.into_iter().zip(1..);
    let linear = linear.map(|(layer, i)| (format!("fc{i}"), layer.named_parameters()));
    let layers = features.named_parameters().chain(linear);
    let prefixed = |(layer, parameters): (String, Vec<(String, Var)>)| {
        let name = move |(name, var)| (format!("{layer}.{name}"), var);
        parameters.into_iter().map(name)
    };
    layers.flat_map(prefixed).collect()
}

/// As PyTorch prints a module: one layer a line; the pooling once.
fn write_parts(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    features: &Features,
    linear: [&Linear; 2],
) -> fmt::Result {
    writeln!(f, "{name}(")?;
    for (layer, i) in features.layers().iter().zip(1..) {
        writeln!(f, "  (conv{i}): {}", layer.conv)?;
    }
    if let Some(pool) = features
        .layers()
        .iter()
        .find_map(|layer| layer.pool.as_ref())
    {
        writeln!(f, "  (pool): {pool}")?;
    }
    for (layer, i) in linear.into_iter().zip(1..) {
        writeln!(f, "  (fc{i}): {layer}")?;
    }
    f.write_str(")")
}
