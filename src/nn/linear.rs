//! The fully connected layer.

use std::fmt;

use candle_core::{Device, Module, Tensor, Var};
use candle_nn::VarBuilder;

use super::init::{bias_init, weight_init};
use crate::error::invalid;
use crate::ops::linear::linear;
use crate::{Error, Result};

const LAYER: &str = "Linear";

/// Each output is a weighted sum of all inputs. Equivalent of `torch.nn.Linear`.
///
/// `output = input · weightᵀ + bias`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `in_features` | | how many numbers come in | ≥ 0; from none the output is the bias |
/// | `out_features` | | how many numbers go out | ≥ 0 |
/// | `bias` | true | whether a number is added to each output | |
/// | `device`, `dtype` | those of the [`VarBuilder`] | where the weights are, and of what type | f32, f64, f16, bf16 |
///
/// `weight` has the shape (out_features, in_features), `bias` (out_features); both start uniform in
/// ±1/√in_features, the bias of no inputs as 0. The input must have their dtype and device. In f16 and
/// bf16 the sums are computed in f32, and then rounded.
///
/// # Shape
///
/// Input (…, in_features), output (…, out_features), with any number of axes in front.
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`]. In [`forward`](Self::forward): [`Error::WrongShape`],
/// [`Error::WrongDType`].
///
/// # Differences from PyTorch
///
/// None.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let vb = var_builder(DType::F32, &Device::Cpu);
/// let fc = Linear::builder(320, 50).build(vb.pp("fc1"))?;
/// let features = Tensor::zeros((64, 320), DType::F32, &Device::Cpu)?;
/// assert_eq!(fc.forward(&features)?.dims(), [64, 50]);
/// assert_eq!(fc.to_string(), "Linear(in_features=320, out_features=50, bias=True)");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Var,
    bias: Option<Var>,
    in_features: usize,
    out_features: usize,
}

/// The parameters of a [`Linear`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let fc = Linear::builder(4, 2).bias(false).build(var_builder(DType::F32, &Device::Cpu))?;
/// assert!(fc.bias().is_none());
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearBuilder {
    in_features: usize,
    out_features: usize,
    bias: bool,
}

impl LinearBuilder {
    /// Whether a number is added to each output; true unless set.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The layer, with its weights taken from `vb` as `weight` and `bias`, of `vb`'s device and dtype.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where there would be more weights than can be counted;
    /// [`Error::Candle`] where `vb` has other shapes.
    pub fn build(self, vb: VarBuilder<'_>) -> Result<Linear> {
        let Self {
            in_features,
            out_features,
            ..
        } = self;
        if in_features.checked_mul(out_features).is_none() {
            let problem = "makes more weights than can be counted; use fewer features";
            return invalid(LAYER, "in_features", in_features, problem);
        }
        let shape = (out_features, in_features);
        let weight = vb.get_with_hints(shape, "weight", weight_init(in_features))?;
        let bias = match self.bias {
            true => Some(vb.get_with_hints(out_features, "bias", bias_init(in_features))?),
            false => None,
        };
        Ok(Linear {
            weight: Var::from_tensor(&weight)?,
            bias: bias.as_ref().map(Var::from_tensor).transpose()?,
            in_features,
            out_features,
        })
    }
}

impl Linear {
    /// The parameters of a fully connected layer; the others are set on what it returns.
    pub fn builder(in_features: usize, out_features: usize) -> LinearBuilder {
        LinearBuilder {
            in_features,
            out_features,
            bias: true,
        }
    }

    /// The weighted sums of `input`, (…, in_features).
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] where the last axis has another length, [`Error::WrongDType`] where
    /// `input` and the weights differ or are not f32, f64, f16 or bf16.
    ///
    /// # Example
    ///
    /// The size after the last pooling is the one most often got wrong:
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let fc = Linear::builder(400, 120).build(var_builder(DType::F32, &Device::Cpu))?;
    /// let flat = Tensor::zeros((4, 320), DType::F32, &Device::Cpu)?;
    /// assert_eq!(
    ///     fc.forward(&flat).unwrap_err().to_string(),
    ///     "Linear: input has shape [4, 320], expected (…, 400); set in_features=320, or change what comes before"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = input.dims();
        if dims.last() != Some(&self.in_features) {
            let cure = match *dims {
                [] => "give it at least one axis".to_string(),
                // A map that nobody has flattened.
                [.., c, h, w] if c.saturating_mul(h).saturating_mul(w) == self.in_features => {
                    format!("flatten it before, with flatten_from({})", dims.len() - 3)
                }
                [_, c, h, w] => {
                    let flat = c.saturating_mul(h).saturating_mul(w);
                    format!("flatten it before, with flatten_from(1), and set in_features={flat}")
                }
                [.., last] => format!("set in_features={last}, or change what comes before"),
            };
            return Err(Error::WrongShape {
                layer: LAYER,
                what: "input",
                got: dims.to_vec(),
                expected: format!("(…, {})", self.in_features),
                cure,
            });
        }
        let dtype = super::expect_dtype(LAYER, input, self.weight.dtype())?;
        let mut shape = dims.to_vec();
        shape.pop();
        let rows = shape.iter().product::<usize>();
        shape.push(self.out_features);
        let flat = input.reshape((rows, self.in_features))?.to_dtype(dtype)?;
        let weight = self.weight.to_dtype(dtype)?;
        let bias = self.bias.as_ref().map(|bias| bias.to_dtype(dtype));
        let output = linear(&flat, &weight, bias.transpose()?.as_ref())?;
        Ok(output.reshape(shape)?.to_dtype(input.dtype())?)
    }

    /// The weights: (out_features, in_features).
    pub fn weight(&self) -> &Tensor {
        self.weight.as_tensor()
    }

    /// What is added to each output: (out_features).
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref().map(Var::as_tensor)
    }

    /// `weight` and, where there is one, `bias`, as the variables that an optimizer changes.
    pub fn named_parameters(&self) -> Vec<(String, Var)> {
        super::weight_and_bias(&self.weight, self.bias.as_ref())
    }

    /// The layer on `device`; where it is there already, one that shares the variables. Unlike PyTorch's
    /// `to(device)`, which moves a module, it leaves the original where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`] where the memory there does not suffice.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let bias = self.bias.as_ref().map(|bias| super::moved(bias, device));
        Ok(Self {
            weight: super::moved(&self.weight, device)?,
            bias: bias.transpose()?,
            ..*self
        })
    }

    /// How many numbers the layer learns.
    pub fn parameter_count(&self) -> usize {
        super::count(&self.named_parameters())
    }
}

impl Module for Linear {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        self.forward(input).map_err(Error::into_candle)
    }
}

impl fmt::Display for Linear {
    /// What PyTorch's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bias = if self.bias.is_some() { "True" } else { "False" };
        write!(
            f,
            "Linear(in_features={}, out_features={}, bias={bias})",
            self.in_features, self.out_features
        )
    }
}
