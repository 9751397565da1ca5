//! Max pooling's kernels. Where the maxima were stays on the card until it is asked for.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, PushKernelArg};
use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};

use super::launch::{Source, each, for_real, int, room, view, wrap};
use super::op::{Given, Op};
use crate::ops::max_pool2d::Geometry;
use crate::size::Size2;

const SOURCE: Source = Source {
    name: "max_pool2d",
    text: include_str!("kernels/max_pool2d.cu"),
};

/// As `struct MaxPool2d` in the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Sizes {
    planes: i32,
    input: [i32; 2],
    output: [i32; 2],
    kernel: [i32; 2],
    stride: [i32; 2],
    padding: [i32; 2],
    dilation: [i32; 2],
}

// SAFETY: thirteen i32 in C's order, no padding, no pointer.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sizes {}

impl Sizes {
    fn new(geometry: &Geometry, planes: usize) -> Result<Self> {
        let pair = |what, size: Size2| {
            Ok::<_, candle_core::Error>([int(what, size.h)?, int(what, size.w)?])
        };
        Ok(Self {
            planes: int("planes", planes)?,
            input: pair("input", geometry.input)?,
            output: pair("output", geometry.output)?,
            kernel: pair("kernel_size", geometry.kernel)?,
            stride: pair("stride", geometry.stride)?,
            padding: pair("padding", geometry.padding)?,
            dilation: pair("dilation", geometry.dilation)?,
        })
    }
}

/// The maxima, in `shape`, and where they were.
pub(in crate::ops) fn forward(
    geometry: &Geometry,
    input: &CudaStorage,
    layout: &Layout,
    shape: Shape,
) -> Result<(CudaStorage, CudaSlice<u32>)> {
    let planes = layout.shape().elem_count() / (geometry.input.h * geometry.input.w);
    let sizes = Sizes::new(geometry, planes)?;
    let n = shape.elem_count();
    for_real!(input, T => {
        let device = input.device();
        let mut out = room::<T>(device, n)?;
        let mut indices = room::<u32>(device, n)?;
        let input = view::<T>(input, layout)?;
        if n > 0 {
            let kernel = SOURCE.kernel::<T>(device, "max_pool2d_forward")?;
            let mut call = kernel.call();
            call.arg(&mut out).arg(&mut indices).arg(&input).arg(&sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(each(n)) }.map_err(candle_core::Error::wrap)?;
        }
        Ok((wrap(out, device), indices))
    })
}

/// What flows back to `input`.
pub(in crate::ops) fn gradient(
    geometry: &Geometry,
    input: &Tensor,
    grad: &Tensor,
    indices: &Arc<CudaSlice<u32>>,
) -> Result<Tensor> {
    let n = input.elem_count();
    let sizes = Sizes::new(geometry, n / (geometry.input.h * geometry.input.w))?;
    let op = Op("max_pool2d's gradient", |(grad, layout): Given<'_>| {
        for_real!(grad, T => {
            let device = grad.device();
            let mut to = room::<T>(device, n)?;
            let grad = view::<T>(grad, layout)?;
            if n > 0 {
                let kernel = SOURCE.kernel::<T>(device, "max_pool2d_gradient")?;
                let mut call = kernel.call();
                call.arg(&mut to).arg(&grad).arg(&**indices).arg(&sizes);
                // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
                #[allow(unsafe_code)]
                unsafe { call.launch(each(n)) }.map_err(candle_core::Error::wrap)?;
            }
            Ok((wrap(to, device), input.shape().clone()))
        })
    });
    grad.apply_op1_no_bwd(&op)
}
