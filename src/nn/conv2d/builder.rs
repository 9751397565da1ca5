//! The parameters of a convolution, checked.

use candle_core::{Tensor, Var};
use candle_nn::VarBuilder;

use super::{Conv2d, LAYER, PaddingMode};
use crate::error::invalid;
use crate::nn::expect_shape;
use crate::nn::init::{bias_init, weight_init};
use crate::size::{Padding2, Size2};
use crate::{Error, Result};

/// The parameters of a [`Conv2d`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let builder = Conv2d::builder(16, 32, 3).groups(3);
/// let error = builder.build(var_builder(DType::F32, &Device::Cpu)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Conv2d: groups=3 does not divide in_channels=16; choose a common divisor of in_channels and out_channels"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv2dBuilder {
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) kernel_size: Size2,
    pub(super) stride: Size2,
    pub(super) padding: Padding2,
    pub(super) dilation: Size2,
    pub(super) groups: usize,
    pub(super) bias: bool,
    pub(super) padding_mode: PaddingMode,
}

impl Conv2dBuilder {
    /// How far the filter moves from one output to the next; 1 unless set.
    pub fn stride(mut self, stride: impl Into<Size2>) -> Self {
        self.stride = stride.into();
        self
    }

    /// How much is put around the input; 0 unless set.
    pub fn padding(mut self, padding: impl Into<Padding2>) -> Self {
        self.padding = padding.into();
        self
    }

    /// The distance between the filter's taps; 1 unless set.
    pub fn dilation(mut self, dilation: impl Into<Size2>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// How many parts the channels fall into; 1 unless set.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Whether a number is added to each output channel; true unless set.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// What is put around the input; zeros unless set.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let identity = Tensor::new(&[[[[0f32, 1.0, 0.0]]]], &Device::Cpu)?;
    /// let row = Tensor::new(&[[[1f32, 2.0, 3.0]]], &Device::Cpu)?;
    /// let conv = Conv2d::builder(1, 1, (1, 3))
    ///     .padding((0, 2))
    ///     .padding_mode(PaddingMode::Reflect)
    ///     .build_with(&identity, None)?;
    /// assert_eq!(conv.forward(&row)?.to_vec3::<f32>()?, [[[2.0, 1.0, 2.0, 3.0, 2.0]]]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn padding_mode(mut self, padding_mode: PaddingMode) -> Self {
        self.padding_mode = padding_mode;
        self
    }

    /// The layer, with its weights taken from `vb` as `weight` and `bias`, of `vb`'s device and dtype.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its range;
    /// [`Candle`](crate::Error::Candle) where `vb` has other shapes.
    pub fn build(self, vb: VarBuilder<'_>) -> Result<Conv2d> {
        let fan_in = self.check()?;
        let weight = vb.get_with_hints(self.weight_shape(), "weight", weight_init(fan_in))?;
        let bias = match self.bias {
            true => Some(vb.get_with_hints(self.out_channels, "bias", bias_init(fan_in))?),
            false => None,
        };
        Ok(Conv2d {
            weight: Var::from_tensor(&weight)?,
            bias: bias.as_ref().map(Var::from_tensor).transpose()?,
            options: self,
        })
    }

    /// The layer with weights that one has already: a filter written by hand.
    ///
    /// `bias` decides whether there is one.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its range,
    /// [`WrongShape`](crate::Error::WrongShape) where `weight` or `bias` has another shape, and
    /// [`WrongDType`](crate::Error::WrongDType) where their dtypes differ.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let edge = Tensor::new(&[[[[-1f32, 1.0]]]], &Device::Cpu)?;
    /// let conv = Conv2d::builder(1, 1, (1, 2)).build_with(&edge, None)?;
    /// let row = Tensor::new(&[[[[0f32, 0.0, 3.0, 3.0]]]], &Device::Cpu)?;
    /// assert_eq!(conv.forward(&row)?.flatten_all()?.to_vec1::<f32>()?, [0.0, 3.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_with(mut self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Conv2d> {
        self.bias = bias.is_some();
        self.check()?;
        let (o, c, h, w) = self.weight_shape();
        expect_shape(LAYER, "weight", weight, &[o, c, h, w])?;
        if let Some(bias) = bias {
            expect_shape(LAYER, "bias", bias, &[o])?;
            if bias.dtype() != weight.dtype() {
                return Err(Error::WrongDType {
                    layer: LAYER,
                    what: "bias",
                    got: bias.dtype(),
                    expected: "the weight's",
                });
            }
        }
        Ok(Conv2d {
            weight: Var::from_tensor(&weight.contiguous()?)?,
            bias: bias.map(Var::from_tensor).transpose()?,
            options: self,
        })
    }

    fn weight_shape(&self) -> (usize, usize, usize, usize) {
        let Size2 { h, w } = self.kernel_size;
        (self.out_channels, self.in_channels / self.groups, h, w)
    }

    /// Checks each parameter, in PyTorch's order, and returns how many inputs one output reads.
    fn check(&self) -> Result<usize> {
        if self.groups == 0 {
            return invalid(LAYER, "groups", 0, "must be at least 1");
        }
        for (name, channels) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ] {
            if channels % self.groups != 0 {
                let problem = format!(
                    "does not divide {name}={channels}; choose a common divisor of in_channels and out_channels"
                );
                return invalid(LAYER, "groups", self.groups, problem);
            }
        }
        if self.padding == Padding2::Same && self.stride != Size2::from(1) {
            let problem = format!(
                "goes with stride 1 only, not {}; give the padding as a number",
                self.stride
            );
            return invalid(LAYER, "padding", "same", problem);
        }
        for (name, channels) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ] {
            if channels == 0 {
                return invalid(LAYER, name, channels, "must be at least 1");
            }
        }
        for (name, size) in [
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            if size.has_zero() {
                return invalid(LAYER, name, size, "must be at least 1");
            }
        }
        let fan_in = self
            .kernel_size
            .checked_area()
            .and_then(|area| area.checked_mul(self.in_channels / self.groups))
            .filter(|fan_in| fan_in.checked_mul(self.out_channels).is_some());
        match fan_in {
            Some(fan_in) => Ok(fan_in),
            None => invalid(
                LAYER,
                "kernel_size",
                self.kernel_size,
                "makes more weights than can be counted; use a smaller kernel",
            ),
        }
    }

    /// What is added before and after, along rows and columns.
    pub(super) fn pads(&self) -> (Size2, Size2) {
        match self.padding {
            Padding2::Each(size) => (size, size),
            Padding2::Valid => (Size2::from(0), Size2::from(0)),
            Padding2::Same => {
                let total = Size2 {
                    h: self.dilation.h.saturating_mul(self.kernel_size.h - 1),
                    w: self.dilation.w.saturating_mul(self.kernel_size.w - 1),
                };
                let before = Size2 {
                    h: total.h / 2,
                    w: total.w / 2,
                };
                let after = Size2 {
                    h: total.h - before.h,
                    w: total.w - before.w,
                };
                (before, after)
            }
        }
    }
}
