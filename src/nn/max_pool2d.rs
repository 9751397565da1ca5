//! The 2-d max pooling.

use std::fmt;

use candle_core::{Module, Tensor};

use crate::error::invalid;
use crate::ops::max_pool2d::{Geometry, Indices, NO_PIXEL, max_pool2d};
use crate::size::{Size2, output_length, span};
use crate::{Error, Result};

const LAYER: &str = "MaxPool2d";

/// The largest value in each window. Equivalent of `torch.nn.MaxPool2d`.
///
/// `output[n, c, y, x] = max over the window's taps (i, j) of
/// input[n, c, y·stride + i·dilation − padding, x·stride + j·dilation − padding]`.
///
/// The gradient of an output goes, whole, to the first of the window's largest values, row after
/// row. A NaN in a window is its maximum.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `kernel_size` | | the window's rows and columns | an int or a pair, ≥ 1 |
/// | `stride` | `kernel_size` | how far the window moves | an int or a pair, ≥ 1 |
/// | `padding` | 0 | rows and columns of −∞ on each side | an int or a pair, at most half of what the window covers |
/// | `dilation` | 1 | the distance between the window's taps | an int or a pair, ≥ 1 |
/// | `ceil_mode` | false | whether a window that hangs over the edge counts | |
///
/// # Shape
///
/// Input (N, C, H, W) or (C, H, W); output the same with
/// H′ = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1, and W′ likewise. With
/// `ceil_mode` it is ⌈…⌉ + 1, less a last window that would begin in the padding after the image.
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`]. In [`forward`](Self::forward): [`Error::WrongShape`],
/// [`Error::WrongDType`], [`Error::KernelTooLarge`].
///
/// # Differences from PyTorch
///
/// `return_indices` is a method, [`forward_with_indices`](Self::forward_with_indices). `padding` may be half of
/// what the dilated kernel spans, in PyTorch half of `kernel_size`. Images of
/// integers are refused. What PyTorch refuses only in `forward`, such as `stride=0`, is refused when
/// built. On Metal the input goes to the CPU and the output comes back.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let pool = MaxPool2d::builder(2).build()?;
/// let image = Tensor::arange(0f32, 16.0, &Device::Cpu)?.reshape((1, 4, 4))?;
/// assert_eq!(pool.forward(&image)?.to_vec3::<f32>()?, [[[5.0, 7.0], [13.0, 15.0]]]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPool2d {
    kernel_size: Size2,
    stride: Size2,
    padding: Size2,
    dilation: Size2,
    ceil_mode: bool,
}

/// The parameters of a [`MaxPool2d`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let pool = MaxPool2d::builder(3).stride(2).padding(1).ceil_mode(true).build()?;
/// assert_eq!(pool.output_size((28, 28))?, (15, 15));
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPool2dBuilder {
    kernel_size: Size2,
    stride: Option<Size2>,
    padding: Size2,
    dilation: Size2,
    ceil_mode: bool,
}

impl MaxPool2dBuilder {
    /// How far the window moves; `kernel_size` unless set.
    pub fn stride(mut self, stride: impl Into<Size2>) -> Self {
        self.stride = Some(stride.into());
        self
    }

    /// Rows and columns of −∞ on each side; 0 unless set.
    pub fn padding(mut self, padding: impl Into<Size2>) -> Self {
        self.padding = padding.into();
        self
    }

    /// The distance between the window's taps; 1 unless set.
    pub fn dilation(mut self, dilation: impl Into<Size2>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Whether a window that hangs over the edge counts; false unless set.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where a parameter is outside its range.
    pub fn build(self) -> Result<MaxPool2d> {
        let Self {
            kernel_size,
            padding,
            dilation,
            ceil_mode,
            ..
        } = self;
        let stride = self.stride.unwrap_or(kernel_size);
        let also = match self.stride {
            Some(_) => "",
            None => ", and so must stride, which is the same unless set",
        };
        for (name, size, cure) in [
            ("kernel_size", kernel_size, also),
            ("dilation", dilation, "; 1 leaves no gaps"),
            ("stride", stride, "; leave it out for stride = kernel_size"),
        ] {
            if size.has_zero() {
                return invalid(LAYER, name, size, format!("must be at least 1{cure}"));
            }
        }
        let spans = (
            span(kernel_size.h, dilation.h),
            span(kernel_size.w, dilation.w),
        );
        let limit = match spans {
            (Some(h), Some(w)) => Size2 { h: h / 2, w: w / 2 },
            _ => {
                let problem = "is larger than can be counted; use a smaller one";
                return invalid(LAYER, "kernel_size", kernel_size, problem);
            }
        };
        if padding.h > limit.h || padding.w > limit.w {
            let problem = format!("must be at most {limit}, half of what the window covers");
            return invalid(LAYER, "padding", padding, problem);
        }
        Ok(MaxPool2d {
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
        })
    }
}

impl MaxPool2d {
    /// Whether its windows are of 2×2, side by side.
    pub(super) fn halves(&self) -> bool {
        let two = Size2::from(2);
        let plain = self.padding == Size2::from(0) && self.dilation == Size2::from(1);
        self.kernel_size == two && self.stride == two && plain && !self.ceil_mode
    }

    /// The parameters of a max pooling; the others are set on what it returns.
    pub fn builder(kernel_size: impl Into<Size2>) -> MaxPool2dBuilder {
        MaxPool2dBuilder {
            kernel_size: kernel_size.into(),
            stride: None,
            padding: Size2::from(0),
            dilation: Size2::from(1),
            ceil_mode: false,
        }
    }

    /// The largest value in each window of `input`, (N, C, H, W) or (C, H, W).
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] for another rank or an image without channels or pixels, [`Error::WrongDType`]
    /// where `input` is not f32, f64, f16 or bf16, [`Error::KernelTooLarge`] where no window fits.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.pooled(input)?.0)
    }

    /// As [`forward`](Self::forward), and where each maximum was: row · W + column of the input, in
    /// an i64 tensor of the output's shape; −1 where a dilated window lies in the padding alone, whose
    /// maximum is −∞. Equivalent of `return_indices=True`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let image = Tensor::new(&[[[3f32, 1.0], [2.0, 3.0]]], &Device::Cpu)?;
    /// let (largest, indices) = MaxPool2d::builder(2).build()?.forward_with_indices(&image)?;
    /// assert_eq!(largest.to_vec3::<f32>()?, [[[3.0]]]);
    /// assert_eq!(indices.to_vec3::<i64>()?, [[[0]]]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forward_with_indices(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let (output, indices) = self.pooled(input)?;
        let place = |&index: &u32| match index {
            NO_PIXEL => -1,
            index => i64::from(index),
        };
        let indices = indices.read()?.iter().map(place).collect();
        let indices = Tensor::from_vec(indices, output.shape(), input.device())?;
        Ok((output, indices))
    }

    fn pooled(&self, input: &Tensor) -> Result<(Tensor, Indices)> {
        let dims = input.dims();
        let size = match *dims {
            [_, c, h, w] | [c, h, w] if c > 0 && h > 0 && w > 0 => Size2 { h, w },
            _ => {
                return Err(Error::WrongShape {
                    layer: LAYER,
                    what: "input",
                    got: dims.to_vec(),
                    expected: "(N, C, H, W) or (C, H, W) with C, H and W at least 1".to_string(),
                    cure: "reshape it, or pool before flattening".to_string(),
                });
            }
        };
        let Some(dtype) = super::working_dtype(input.dtype()) else {
            return Err(Error::WrongDType {
                layer: LAYER,
                what: "input",
                got: input.dtype(),
                expected: "f32, f64, f16 or bf16",
            });
        };
        let (output, indices) = max_pool2d(&input.to_dtype(dtype)?, self.geometry(size)?)?;
        Ok((output.to_dtype(input.dtype())?, indices))
    }

    /// Rows and columns of the output for an image of `input` rows and columns.
    ///
    /// # Errors
    ///
    /// [`Error::KernelTooLarge`] where no window fits.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// assert_eq!(MaxPool2d::builder(2).build()?.output_size((24, 24))?, (12, 12));
    /// # Ok::<(), candlelight::Error>(())
    /// ```
    pub fn output_size(&self, input: impl Into<Size2>) -> Result<(usize, usize)> {
        Ok(self.geometry(input.into())?.output.into())
    }

    fn geometry(&self, input: Size2) -> Result<Geometry> {
        let Self {
            kernel_size: kernel,
            stride,
            padding,
            dilation,
            ..
        } = *self;
        let rows = self.length(input.h, kernel.h, stride.h, padding.h, dilation.h);
        let columns = self.length(input.w, kernel.w, stride.w, padding.w, dilation.w);
        match (rows, columns) {
            (Some(h), Some(w)) => Ok(Geometry {
                kernel,
                stride,
                padding,
                dilation,
                input,
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
                padded: (
                    input.h.saturating_add(2 * padding.h),
                    input.w.saturating_add(2 * padding.w),
                ),
            }),
        }
    }

    fn length(
        &self,
        input: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Option<usize> {
        if !self.ceil_mode {
            return output_length(input, kernel, stride, padding, dilation);
        }
        // Rounding up is stride − 1 more at the end; a window must begin before the image's end.
        let padded = padding.checked_mul(2)?.checked_add(input)?;
        let room = padded.checked_add(stride - 1)?;
        let windows = room.checked_sub(span(kernel, dilation)?)? / stride + 1;
        match (windows - 1).checked_mul(stride)? >= input + padding {
            true => Some(windows - 1).filter(|&windows| windows > 0),
            false => Some(windows),
        }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        self.forward(input).map_err(Error::into_candle)
    }
}

impl fmt::Display for MaxPool2d {
    /// What PyTorch's `repr` prints: an int where rows and columns are the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |size: Size2| match size.h == size.w {
            true => size.h.to_string(),
            false => size.to_string(),
        };
        let ceil_mode = if self.ceil_mode { "True" } else { "False" };
        write!(
            f,
            "MaxPool2d(kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={ceil_mode})",
            short(self.kernel_size),
            short(self.stride),
            short(self.padding),
            short(self.dilation),
        )
    }
}
