//! The convolution as an operation of candle: what runs where, and its gradient.

use std::borrow::Cow;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::backward::hand_over;
use super::buffer::{Element, elements, for_float, output, with_elements};
#[cfg(feature = "cuda")]
use super::cuda;
use super::simd::Level;
use super::{direct, im2col, stack};
use crate::Error;
use crate::size::Size2;

/// All that a convolution is besides its channels; checked by the layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Geometry {
    pub(crate) groups: usize,
    pub(crate) kernel: Size2,
    pub(crate) stride: Size2,
    pub(crate) dilation: Size2,
    /// Zeros above and to the left.
    pub(crate) before: Size2,
    /// Zeros below and to the right.
    pub(crate) after: Size2,
    pub(crate) output: Size2,
}

/// One convolution of a batch.
pub(super) struct Problem {
    pub(super) geometry: Geometry,
    pub(super) images: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) input: Size2,
}

/// The gradients; `input` where it was wanted.
pub(super) struct Gradients<T> {
    pub(super) input: Option<Vec<T>>,
    pub(super) weight: Vec<T>,
    pub(super) bias: Vec<T>,
}

impl Problem {
    pub(super) fn output_shape(&self) -> (usize, usize, usize, usize) {
        let Size2 { h, w } = self.geometry.output;
        (self.images, self.out_channels, h, w)
    }

    /// How many numbers one image has, and its output.
    pub(super) fn image_sizes(&self) -> (usize, usize) {
        let Size2 { h, w } = self.geometry.output;
        (
            self.in_channels * self.input.h * self.input.w,
            self.out_channels * h * w,
        )
    }

    /// The vectors of the direct kernels, where those take this problem: stride 1, and of a size
    /// that is counted without a second thought.
    fn level(&self) -> Option<Level> {
        let Geometry {
            stride,
            before,
            after,
            ..
        } = self.geometry;
        let small = |size: Size2| size.h < 1 << 14 && size.w < 1 << 14;
        let fits = stride == Size2::from(1) && small(before) && small(after) && small(self.input);
        match fits && self.images > 0 {
            true => Level::detect(),
            false => None,
        }
    }

    fn forward<T: Element>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> Result<Vec<T>> {
        if let Some(level) = self.level()
            && let (Some(input), Some(weight)) = (T::as_f32(input), T::as_f32(weight))
        {
            let bias = bias.and_then(T::as_f32);
            return direct::forward(self, level, input, weight, bias).map(T::from_f32_vec);
        }
        im2col::forward(self, input, weight, bias)
    }

    fn backward<T: Element>(
        &self,
        input: &[T],
        weight: &[T],
        grad: &[T],
        input_wanted: bool,
    ) -> Result<Gradients<T>> {
        if let Some(level) = self.level()
            && let (Some(input), Some(weight), Some(grad)) =
                (T::as_f32(input), T::as_f32(weight), T::as_f32(grad))
        {
            let found = match stack::is_sparse(self, grad) {
                true => stack::backward(self, level, input, weight, grad, input_wanted),
                false => direct::backward(self, level, input, weight, grad, input_wanted),
            }?;
            return Ok(Gradients {
                input: found.input.map(T::from_f32_vec),
                weight: T::from_f32_vec(found.weight),
                bias: T::from_f32_vec(found.bias),
            });
        }
        im2col::backward(self, input, weight, grad, input_wanted)
    }
}

const NAME: &str = "conv2d";

/// `input` (N, C, H, W), `weight` (O, C / groups, rows, columns), `bias` (O).
pub(crate) fn conv2d(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
) -> crate::Result<Tensor> {
    if input.device().is_metal() {
        return candles_own(input, weight, bias, geometry);
    }
    let (input, weight) = (input.contiguous()?, weight.contiguous()?);
    let op = Conv2dOp { geometry };
    Ok(match bias {
        Some(bias) => input.apply_op3(&weight, &bias.contiguous()?, op)?,
        None => input.apply_op2(&weight, op)?,
    })
}

/// On Apple's cards: candle's own convolution, with the padding put around the input first, since
/// candle takes one number for both axes.
fn candles_own(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
) -> crate::Result<Tensor> {
    for (parameter, size) in [("stride", geometry.stride), ("dilation", geometry.dilation)] {
        if size.h != size.w {
            return Err(Error::InvalidParameter {
                layer: "Conv2d",
                parameter,
                value: size.to_string(),
                problem: "must be one number for both axes on this device; use the CPU for a pair"
                    .to_string(),
            });
        }
    }
    let Geometry { before, after, .. } = geometry;
    let padded = input
        .pad_with_zeros(2, before.h, after.h)?
        .pad_with_zeros(3, before.w, after.w)?;
    let output = padded.conv2d(
        weight,
        0,
        geometry.stride.h,
        geometry.dilation.h,
        geometry.groups,
    )?;
    Ok(match bias {
        Some(bias) => output.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
        None => output,
    })
}

struct Conv2dOp {
    geometry: Geometry,
}

impl Conv2dOp {
    fn problem(&self, input: &Shape, weight: &Shape) -> Result<Problem> {
        let (images, in_channels, h, w) = input.dims4()?;
        Ok(Problem {
            geometry: self.geometry,
            images,
            in_channels,
            out_channels: weight.dims4()?.0,
            input: Size2 { h, w },
        })
    }

    fn run(
        &self,
        (input, input_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let problem = self.problem(input_layout.shape(), weight_layout.shape())?;
        for_float!(input, NAME, T => {
            let bias = bias.map(|(bias, layout)| elements::<T>(bias, layout)).transpose()?;
            let input = elements::<T>(input, input_layout)?;
            let weight = elements::<T>(weight, weight_layout)?;
            output(problem.forward(input, weight, bias)?, problem.output_shape())
        })
    }

    #[cfg(feature = "cuda")]
    fn on_card(
        &self,
        input: cuda::Given<'_>,
        weight: cuda::Given<'_>,
        bias: Option<cuda::Given<'_>>,
    ) -> Result<(CudaStorage, Shape)> {
        let problem = self.problem(input.1.shape(), weight.1.shape())?;
        cuda::conv2d::forward(&problem, input, weight, bias)
    }

    /// The gradients of input (where it is asked for), weight and bias.
    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let problem = self.problem(input.shape(), weight.shape())?;
        let grad = match grad.is_contiguous() {
            true => Cow::Borrowed(grad),
            false => Cow::Owned(grad.contiguous()?),
        };
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return cuda::conv2d::gradients(&problem, input, weight, &grad);
        }
        match grad.dtype() {
            candle_core::DType::F64 => self.gradients_of::<f64>(&problem, input, weight, &grad),
            _ => self.gradients_of::<f32>(&problem, input, weight, &grad),
        }
    }

    fn gradients_of<T: Element>(
        &self,
        problem: &Problem,
        input: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let wanted = input.track_op();
        let result = with_elements::<T, _>(input, |x| {
            with_elements::<T, _>(weight, |w| {
                with_elements::<T, _>(grad, |g| problem.backward(x, w, g, wanted))
            })
        })?;
        let device = input.device();
        let grad_input = result
            .input
            .map(|values| Tensor::from_vec(values, input.shape(), device))
            .transpose()?;
        Ok((
            grad_input,
            Tensor::from_vec(result.weight, weight.shape(), device)?,
            Tensor::from_vec(result.bias, problem.out_channels, device)?,
        ))
    }
}

impl CustomOp2 for Conv2dOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((input, input_layout), (weight, weight_layout), None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_card((input, input_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (grad_input, grad_weight, _) = self.gradients(input, weight, grad)?;
        Ok((grad_input, hand_over(weight, grad_weight)))
    }
}

impl CustomOp3 for Conv2dOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run(
            (input, input_layout),
            (weight, weight_layout),
            Some((bias, bias_layout)),
        )
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (input, weight) = ((input, input_layout), (weight, weight_layout));
        self.on_card(input, weight, Some((bias, bias_layout)))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_input, grad_weight, grad_bias) = self.gradients(input, weight, grad)?;
        let grad_bias = hand_over(bias, grad_bias);
        Ok((grad_input, hand_over(weight, grad_weight), grad_bias))
    }
}
