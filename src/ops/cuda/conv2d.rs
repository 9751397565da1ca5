//! The convolution's kernels, and its gradients as operations of their own.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{CudaStorage, Result, Shape, Tensor};

use super::launch::{Real, Source, each, for_real, int, room, sums, view, wrap};
use super::op::{Given, Op};
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
    let of_input = Op(
        "conv2d's input gradient",
        |grad: Given<'_>, weight: Given<'_>| {
            let blocks = each(input.elem_count());
            let run = ("conv2d_input_gradient", sizes, blocks);
            for_real!(grad.0, T => sum::<T>(run, &[grad, weight], input.shape()))
        },
    );
    let of_weight = Op(
        "conv2d's weight gradient",
        |input: Given<'_>, grad: Given<'_>| {
            let blocks = sums(weight.elem_count());
            let run = ("conv2d_weight_gradient", sizes, blocks);
            for_real!(grad.0, T => sum::<T>(run, &[input, grad], weight.shape()))
        },
    );
    let of_bias = Op("conv2d's bias gradient", |grad: Given<'_>| {
        let run = ("conv2d_bias_gradient", sizes, sums(problem.out_channels));
        let shape = Shape::from(problem.out_channels);
        for_real!(grad.0, T => sum::<T>(run, &[grad], &shape))
    });
    let of_input = match input.track_op() {
        true => Some(grad.apply_op2_no_bwd(weight, &of_input)?),
        false => None,
    };
    let of_weight = input.apply_op2_no_bwd(grad, &of_weight)?;
    let of_bias = grad.apply_op1_no_bwd(&of_bias)?;
    Ok((of_input, of_weight, of_bias))
}

/// Runs a kernel that writes `shape` from what it is given.
fn sum<T: Real>(
    (name, sizes, blocks): (&str, Sizes, LaunchConfig),
    given: &[Given<'_>],
    shape: &Shape,
) -> Result<(CudaStorage, Shape)> {
    let device = given[0].0.device();
    let mut to = room::<T>(device, shape.elem_count())?;
    let views = given
        .iter()
        .map(|(storage, layout)| view::<T>(storage, layout));
    let views = views.collect::<Result<Vec<_>>>()?;
    if shape.elem_count() > 0 {
        let kernel = SOURCE.kernel::<T>(device, name)?;
        let mut call = kernel.call();
        call.arg(&mut to);
        for view in &views {
            call.arg(view);
        }
        call.arg(&sizes);
        // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
        #[allow(unsafe_code)]
        unsafe { call.launch(blocks) }.map_err(candle_core::Error::wrap)?;
    }
    Ok((wrap(to, device), shape.clone()))
}
