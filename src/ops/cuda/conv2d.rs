//! The convolution's kernels, and its gradients as operations of their own.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail,
};

use super::launch::{Real, Source, each, for_real, int, room, sums, view, wrap};
use crate::ops::conv2d::Problem;

const SOURCE: Source = Source {
    name: "conv2d",
    text: concat!(
        include_str!("kernels/common.cuh"),
        include_str!("kernels/conv2d.cu")
    ),
};

/// As `struct Conv2d` in the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Sizes {
    images: i32,
    channels: [i32; 2],
    groups: i32,
    input: [i32; 2],
    output: [i32; 2],
    kernel: [i32; 2],
    stride: [i32; 2],
    dilation: [i32; 2],
    before: [i32; 2],
}

// SAFETY: sixteen i32 in C's order, no padding, no pointer.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sizes {}

impl Sizes {
    fn new(problem: &Problem) -> Result<Self> {
        let geometry = &problem.geometry;
        let pair = |what, size: crate::size::Size2| {
            Ok::<_, candle_core::Error>([int(what, size.h)?, int(what, size.w)?])
        };
        Ok(Self {
            images: int("images", problem.images)?,
            channels: [
                int("in_channels", problem.in_channels)?,
                int("out_channels", problem.out_channels)?,
            ],
            groups: int("groups", geometry.groups)?,
            input: pair("input", problem.input)?,
            output: pair("output", geometry.output)?,
            kernel: pair("kernel_size", geometry.kernel)?,
            stride: pair("stride", geometry.stride)?,
            dilation: pair("dilation", geometry.dilation)?,
            before: pair("padding", geometry.before)?,
        })
    }
}

type Given<'a> = (&'a CudaStorage, &'a Layout);

pub(in crate::ops) fn forward(
    problem: &Problem,
    (input, input_layout): Given<'_>,
    (weight, weight_layout): Given<'_>,
    bias: Option<Given<'_>>,
) -> Result<(CudaStorage, Shape)> {
    let shape = Shape::from(problem.output_shape());
    for_real!(input, T => {
        let device = input.device();
        let mut out = room::<T>(device, shape.elem_count())?;
        let input = view::<T>(input, input_layout)?;
        let weight = view::<T>(weight, weight_layout)?;
        let has_bias = i32::from(bias.is_some());
        // Without a bias any address does: it is not read.
        let bias = match bias {
            Some((bias, layout)) => view::<T>(bias, layout)?,
            None => weight.slice(..),
        };
        let sizes = Sizes::new(problem)?;
        if shape.elem_count() > 0 {
            let kernel = SOURCE.kernel::<T>(device, "conv2d_forward")?;
            let mut call = kernel.call();
            call.arg(&mut out).arg(&input).arg(&weight).arg(&bias).arg(&has_bias).arg(&sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(each(shape.elem_count())) }.map_err(candle_core::Error::wrap)?;
        }
        Ok((wrap(out, device), shape))
    })
}

/// The gradients of input (where it is asked for), weight and bias.
pub(in crate::ops) fn gradients(
    problem: &Problem,
    input: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let sizes = Sizes::new(problem)?;
    let of_input = match input.track_op() {
        true => Some(grad.apply_op2_no_bwd(weight, &OfInput(sizes, input.shape().clone()))?),
        false => None,
    };
    let of_weight = input.apply_op2_no_bwd(grad, &OfWeight(sizes, weight.shape().clone()))?;
    let of_bias = grad.apply_op1_no_bwd(&OfBias(sizes, problem.out_channels))?;
    Ok((of_input, of_weight, of_bias))
}

struct OfInput(Sizes, Shape);
struct OfWeight(Sizes, Shape);
struct OfBias(Sizes, usize);

/// Runs a kernel of two tensors.
fn of_two<T: Real>(
    name: &str,
    (a, a_layout): Given<'_>,
    (b, b_layout): Given<'_>,
    sizes: Sizes,
    shape: &Shape,
    blocks: candle_core::cuda_backend::cudarc::driver::LaunchConfig,
) -> Result<(CudaStorage, Shape)> {
    let device = a.device();
    let mut to = room::<T>(device, shape.elem_count())?;
    let (a, b) = (view::<T>(a, a_layout)?, view::<T>(b, b_layout)?);
    if shape.elem_count() > 0 {
        let kernel = SOURCE.kernel::<T>(device, name)?;
        let mut call = kernel.call();
        call.arg(&mut to).arg(&a).arg(&b).arg(&sizes);
        // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
        #[allow(unsafe_code)]
        unsafe { call.launch(blocks) }.map_err(candle_core::Error::wrap)?;
    }
    Ok((wrap(to, device), shape.clone()))
}

const ON_CARDS: &str = "a gradient of CUDA's, asked for on the CPU";

impl CustomOp2 for OfInput {
    fn name(&self) -> &'static str {
        "conv2d's input gradient"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("{ON_CARDS}")
    }

    fn cuda_fwd(
        &self,
        grad: &CudaStorage,
        grad_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let given = ((grad, grad_layout), (weight, weight_layout));
        let blocks = each(self.1.elem_count());
        for_real!(grad, T => of_two::<T>("conv2d_input_gradient", given.0, given.1, self.0, &self.1, blocks))
    }
}

impl CustomOp2 for OfWeight {
    fn name(&self) -> &'static str {
        "conv2d's weight gradient"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("{ON_CARDS}")
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        grad: &CudaStorage,
        grad_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let given = ((input, input_layout), (grad, grad_layout));
        let blocks = sums(self.1.elem_count());
        for_real!(input, T => of_two::<T>("conv2d_weight_gradient", given.0, given.1, self.0, &self.1, blocks))
    }
}

impl CustomOp1 for OfBias {
    fn name(&self) -> &'static str {
        "conv2d's bias gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("{ON_CARDS}")
    }

    fn cuda_fwd(&self, grad: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let Self(sizes, channels) = self;
        for_real!(grad, T => {
            let device = grad.device();
            let mut to = room::<T>(device, *channels)?;
            let grad = view::<T>(grad, layout)?;
            let kernel = SOURCE.kernel::<T>(device, "conv2d_bias_gradient")?;
            let mut call = kernel.call();
            call.arg(&mut to).arg(&grad).arg(sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(sums(*channels)) }.map_err(candle_core::Error::wrap)?;
            Ok((wrap(to, device), Shape::from(*channels)))
        })
    }
}
