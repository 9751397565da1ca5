//! The 2-d convolution.

mod builder;
mod padding_mode;

use std::fmt;

use candle_core::{DType, Device, Module, Tensor, Var};

use super::MaxPool2d;

use crate::error::invalid;
#[cfg(any(feature = "cuda", test))]
use crate::ops::captured;
use crate::ops::conv2d::{Geometry, conv2d};
use crate::ops::pad2d::pad2d;
use crate::ops::stack::Block;
use crate::size::{Padding2, Size2, output_length, span};
use crate::{Error, Result};

pub use builder::Conv2dBuilder;
pub use padding_mode::PaddingMode;

const LAYER: &str = "Conv2d";

/// A 2-d convolution over images. Equivalent of `torch.nn.Conv2d`.
///
/// `output[n, o] = bias[o] + Σ_c weight[o, c] ⋆ input[n, c]`, where `⋆` is the 2-d
/// cross-correlation.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `in_channels` | | channels of the input | ≥ 1, a multiple of `groups` |
/// | `out_channels` | | channels of the output: one filter each | ≥ 1, a multiple of `groups` |
/// | `kernel_size` | | the filter's rows and columns | an int or a pair, ≥ 1 |
/// | `stride` | 1 | how far the filter moves from one output to the next | an int or a pair, ≥ 1 |
/// | `padding` | 0 | how much is put around the input | an int, a pair, or [`Padding2`]; less than the input with `reflect`, at most the input with `circular` |
/// | `dilation` | 1 | the distance between the filter's taps | an int or a pair, ≥ 1 |
/// | `groups` | 1 | how many parts the channels fall into, each convolved by itself | divides both channel counts |
/// | `bias` | true | whether a number is added to each output channel | |
/// | `padding_mode` | zeros | what is put around the input | [`PaddingMode`] |
/// | `device`, `dtype` | those of the [`VarBuilder`](candle_nn::VarBuilder) | where the weights are, and of what type | f32, f64, f16, bf16 |
///
/// `weight` has the shape (out_channels, in_channels / groups, kernel_size rows, kernel_size
/// columns), `bias` (out_channels); both start uniform in ±1/√fan_in, with
/// fan_in = in_channels / groups · rows · columns. The input must have their dtype and device. In f16
/// and bf16 the convolution is computed in f32, and then rounded.
///
/// # Shape
///
/// Input (N, C, H, W) or (C, H, W) with C = in_channels; output (N, out_channels, H′, W′) or
/// (out_channels, H′, W′), where
/// H′ = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1, and W′ likewise.
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`]. In [`forward`](Self::forward): [`Error::WrongShape`],
/// [`Error::WrongDType`], [`Error::KernelTooLarge`], and [`Error::InvalidParameter`] where the input
/// is too small for the padding.
///
/// # Differences from PyTorch
///
/// What PyTorch refuses only in `forward`, such as `stride=0`, is refused when built; so is
/// `in_channels=0`, which PyTorch takes for an input without channels. On Metal
/// the convolution is candle's own, which takes one number for both axes of `stride` and of
/// `dilation`; a pair is an error there. Where most of what flows back is 0, products with it are not
/// taken: with an input or a weight of ∞ some gradients are finite that are NaN in PyTorch.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let vb = var_builder(DType::F32, &Device::Cpu);
/// let conv = Conv2d::builder(1, 10, 5).stride(2).padding((1, 2)).build(vb.pp("conv1"))?;
/// let images = Tensor::zeros((64, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&images)?.dims(), [64, 10, 13, 14]);
/// assert_eq!(conv.to_string(), "Conv2d(1, 10, kernel_size=(5, 5), stride=(2, 2), padding=(1, 2))");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    options: Conv2dBuilder,
    weight: Var,
    bias: Option<Var>,
}

impl Conv2d {
    /// The parameters of a convolution; the others are set on what it returns.
    pub fn builder(
        in_channels: usize,
        out_channels: usize,
        kernel_size: impl Into<Size2>,
    ) -> Conv2dBuilder {
        Conv2dBuilder {
            in_channels,
            out_channels,
            kernel_size: kernel_size.into(),
            stride: Size2::from(1),
            padding: Padding2::from(0),
            dilation: Size2::from(1),
            groups: 1,
            bias: true,
            padding_mode: PaddingMode::Zeros,
        }
    }

    /// The convolution of `input`, (N, C, H, W) or (C, H, W).
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] for another rank, another number of channels or an image without pixels,
    /// [`Error::WrongDType`] where `input` and the weights differ or are not f32, f64, f16 or bf16,
    /// [`Error::KernelTooLarge`] where no window fits, [`Error::InvalidParameter`] where `padding` is
    /// too large for the `padding_mode`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = input.dims();
        let (image, batched) = match *dims {
            [n, c, h, w] if self.takes(c, h, w) => ((n, c, h, w), true),
            [c, h, w] if self.takes(c, h, w) => ((1, c, h, w), false),
            _ => {
                let c = self.options.in_channels;
                let cure = match *dims {
                    [_, _] if c == 1 => "add the channel with unsqueeze(0)".into(),
                    [_, _, last] if last == c => {
                        "the channels come first: permute((2, 0, 1))".into()
                    }
                    [_, _, _, last] if last == c => {
                        "the channels come before rows and columns: permute((0, 3, 1, 2))".into()
                    }
                    _ => format!("in_channels={c} must be the input's channels"),
                };
                return Err(Error::WrongShape {
                    layer: LAYER,
                    what: "input",
                    got: dims.to_vec(),
                    expected: format!("(N, {c}, H, W) or ({c}, H, W)"),
                    cure,
                });
            }
        };
        let dtype = super::expect_dtype(LAYER, input, self.weight.dtype())?;
        let mut geometry = self.geometry(Size2::from((image.2, image.3)))?;
        let mut images = input.reshape(image)?.to_dtype(dtype)?;
        let (before, after) = (geometry.before, geometry.after);
        let nothing = Size2::from(0);
        if self.options.padding_mode != PaddingMode::Zeros && (before, after) != (nothing, nothing)
        {
            images = pad2d(&images, self.options.padding_mode, before, after)?;
            (geometry.before, geometry.after) = (nothing, nothing);
        }
        let weight = self.weight.to_dtype(dtype)?;
        let bias = self.bias.as_ref().map(|bias| bias.to_dtype(dtype));
        let output = conv2d(&images, &weight, bias.transpose()?.as_ref(), geometry)?;
        let output = output.to_dtype(input.dtype())?;
        match batched {
            true => Ok(output),
            false => Ok(output.squeeze(0)?),
        }
    }

    /// This layer, a pooling and a ReLU as a block of a stack; none where a stack has no such block.
    pub(super) fn block(
        &self,
        channels: usize,
        input: Size2,
        pool: Option<&MaxPool2d>,
    ) -> Option<Block> {
        let options = &self.options;
        let zeros = options.padding_mode == PaddingMode::Zeros;
        let plain = options.stride == Size2::from(1) && options.groups == 1 && zeros;
        let f32_here = self.weight.dtype() == DType::F32 && self.weight.device().is_cpu();
        let small = |size: Size2| size.h < 1 << 14 && size.w < 1 << 14;
        if !plain || !f32_here || self.bias.is_none() || !self.takes(channels, input.h, input.w) {
            return None;
        }
        let geometry = self.geometry(input).ok()?;
        let block = Block {
            in_channels: channels,
            out_channels: options.out_channels,
            geometry,
            input,
            pool: pool.is_some(),
        };
        let halves = pool.is_none_or(MaxPool2d::halves);
        let there = block.output().h > 0 && block.output().w > 0;
        let sizes = [input, geometry.before, geometry.after];
        (halves && there && sizes.into_iter().all(small)).then_some(block)
    }

    /// This layer for images of `channels`, in a captured step; none where one does not take it.
    #[cfg(any(feature = "cuda", test))]
    pub(super) fn captured(&self, channels: usize, input: Size2) -> Option<captured::Layer> {
        let options = &self.options;
        let zeros = options.padding_mode == PaddingMode::Zeros;
        if !zeros || !self.takes(channels, input.h, input.w) {
            return None;
        }
        Some(captured::Layer {
            in_channels: channels,
            out_channels: options.out_channels,
            input,
            geometry: self.geometry(input).ok()?,
            linear: false,
            pool: false,
            relu: false,
            bias: self.bias.is_some(),
        })
    }

    fn takes(&self, c: usize, h: usize, w: usize) -> bool {
        c == self.options.in_channels && h > 0 && w > 0
    }

    /// The filters: (out_channels, in_channels / groups, rows, columns).
    pub fn weight(&self) -> &Tensor {
        self.weight.as_tensor()
    }

    /// What is added to each output channel: (out_channels).
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
            options: self.options.clone(),
            weight: super::moved(&self.weight, device)?,
            bias: bias.transpose()?,
        })
    }

    /// How many numbers the layer learns.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// let conv = Conv2d::builder(10, 20, 5).build(var_builder(DType::F32, &Device::Cpu))?;
    /// assert_eq!(conv.parameter_count(), 20 * 10 * 5 * 5 + 20);
    /// # Ok::<(), candlelight::Error>(())
    /// ```
    pub fn parameter_count(&self) -> usize {
        super::count(&self.named_parameters())
    }

    /// Rows and columns of the output for an image of `input` rows and columns.
    ///
    /// # Errors
    ///
    /// [`Error::KernelTooLarge`] where no window fits, [`Error::InvalidParameter`] where `padding` is
    /// too large for the `padding_mode`.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// let conv = Conv2d::builder(1, 10, 5).stride(2).build(var_builder(DType::F32, &Device::Cpu))?;
    /// assert_eq!(conv.output_size((28, 28))?, (12, 12));
    /// assert!(conv.output_size(4).is_err());
    /// # Ok::<(), candlelight::Error>(())
    /// ```
    pub fn output_size(&self, input: impl Into<Size2>) -> Result<(usize, usize)> {
        Ok(self.geometry(input.into())?.output.into())
    }

    /// How many multiply-adds one image of `input` rows and columns takes: each output reads
    /// in_channels / groups · rows · columns numbers.
    ///
    /// # Errors
    ///
    /// As [`output_size`](Self::output_size).
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// let conv = Conv2d::builder(1, 10, 5).build(var_builder(DType::F32, &Device::Cpu))?;
    /// assert_eq!(conv.multiply_adds((28, 28))?, 24 * 24 * 10 * 25);
    /// # Ok::<(), candlelight::Error>(())
    /// ```
    pub fn multiply_adds(&self, input: impl Into<Size2>) -> Result<usize> {
        let output = self.geometry(input.into())?.output;
        Ok(self
            .weight
            .elem_count()
            .saturating_mul(output.h)
            .saturating_mul(output.w))
    }

    /// Whether an image of `input` rows and columns has enough of them to pad with; `after` is the
    /// larger side of the padding.
    fn check_padding(&self, input: Size2, after: Size2) -> Result<()> {
        let (padding, mode) = (self.options.padding, self.options.padding_mode);
        let (fits, allowed) = match mode {
            PaddingMode::Zeros | PaddingMode::Replicate => return Ok(()),
            PaddingMode::Reflect => (after.h < input.h && after.w < input.w, "less than"),
            PaddingMode::Circular => (after.h <= input.h && after.w <= input.w, "at most"),
        };
        if fits {
            return Ok(());
        }
        let amount = match padding {
            Padding2::Same => format!("is {after} here and "),
            Padding2::Each(_) | Padding2::Valid => String::new(),
        };
        let problem = format!(
            "{amount}must be {allowed} the input's {input} with padding_mode={mode}; \
             use less padding, a larger image, or padding_mode=replicate"
        );
        invalid(LAYER, "padding", padding, problem)
    }

    fn geometry(&self, input: Size2) -> Result<Geometry> {
        let options = &self.options;
        let (before, after) = options.pads();
        self.check_padding(input, after)?;
        let padded = Size2 {
            h: input.h.saturating_add(before.h).saturating_add(after.h),
            w: input.w.saturating_add(before.w).saturating_add(after.w),
        };
        let (kernel, stride, dilation) = (options.kernel_size, options.stride, options.dilation);
        let rows = output_length(padded.h, kernel.h, stride.h, 0, dilation.h);
        let columns = output_length(padded.w, kernel.w, stride.w, 0, dilation.w);
        match (rows, columns) {
            (Some(h), Some(w)) => Ok(Geometry {
                groups: options.groups,
                kernel,
                stride,
                dilation,
                before,
                after,
                output: Size2 { h, w },
            }),
            _ => Err(Error::KernelTooLarge {
                layer: LAYER,
                kernel: (
                    span(kernel.h, dilation.h).unwrap_or(usize::MAX),
                    span(kernel.w, dilation.w).unwrap_or(usize::MAX),
                ),
                kernel_size: kernel.into(),
                dilation: dilation.into(),
                padded: padded.into(),
            }),
        }
    }
}

impl Module for Conv2d {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        self.forward(input).map_err(Error::into_candle)
    }
}

impl fmt::Display for Conv2d {
    /// What PyTorch's `repr` prints: only what differs from the defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        write!(
            f,
            "Conv2d({}, {}, kernel_size={}, stride={}",
            options.in_channels, options.out_channels, options.kernel_size, options.stride
        )?;
        match options.padding {
            Padding2::Each(size) if size == Size2::from(0) => {}
            padding => write!(f, ", padding={padding}")?,
        }
        if options.dilation != Size2::from(1) {
            write!(f, ", dilation={}", options.dilation)?;
        }
        if options.groups != 1 {
            write!(f, ", groups={}", options.groups)?;
        }
        if !options.bias {
            f.write_str(", bias=False")?;
        }
        if options.padding_mode != PaddingMode::Zeros {
            write!(f, ", padding_mode={}", options.padding_mode)?;
        }
        f.write_str(")")
    }
}
