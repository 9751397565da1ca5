//! An optimizer's step on a card, in place and in one pass.

use std::cell::Cell;

use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, DevicePtrMut, DeviceRepr, PushKernelArg,
};
use candle_core::{CpuStorage, CudaStorage, InplaceOp1, Layout, Result, Tensor, bail};

use super::launch::{Real, Source, each, for_real, view};
use crate::ops::update::{Buffers, OnCard};

const SOURCE: Source = Source {
    name: "optimizers",
    text: concat!(
        include_str!("kernels/common.cuh"),
        include_str!("kernels/optimizers.cuh"),
        include_str!("kernels/optimizers.cu")
    ),
};

/// As `struct Step` in the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Step(OnCard);

// SAFETY: eight f64 and four i64, no padding, no pointer.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Step {}

/// Runs the kernel `name`.
pub(in crate::ops) fn update(
    name: &'static str,
    step: OnCard,
    (parameter, parameter_layout): (&mut CudaStorage, &Layout),
    (gradient, gradient_layout): (&CudaStorage, &Layout),
    buffers: &Buffers,
) -> Result<()> {
    for_real!(gradient, T => {
        let device = candle_core::backend::BackendStorage::device(gradient).clone();
        let gradient = view::<T>(gradient, gradient_layout)?;
        let Some((start, end)) = parameter_layout.contiguous_offsets() else {
            bail!("{name}: the parameter is not contiguous");
        };
        let mut parameter = parameter.as_cuda_slice_mut::<T>()?.slice_mut(start..end);
        let n = (end - start) as i64;
        let kernel = SOURCE.kernel::<T>(&device, name)?;
        // Addresses, since a buffer that is absent has none; the kernel does not follow it.
        let stream = device.cuda_stream();
        let address = |buffer: Option<&mut CudaSlice<T>>| match buffer {
            // What waits for the stream's end is not needed: the kernel is on it.
            Some(buffer) => buffer.device_ptr_mut(&stream).0,
            None => 0,
        };
        let [a, b, c] = buffers;
        with_mut::<T>(a, &mut |a| {
            let a = address(a);
            with_mut::<T>(b, &mut |b| {
                let b = address(b);
                with_mut::<T>(c, &mut |c| {
                    let c = address(c);
                    let step = Step(step);
                    let mut call = kernel.call();
                    call.arg(&mut parameter).arg(&gradient);
                    call.arg(&a).arg(&b).arg(&c).arg(&n).arg(&step);
                    // SAFETY: the arguments are the kernel's; the buffers are as long as the parameter, on its
                    // stream, and borrowed until the kernel is in the queue.
                    #[allow(unsafe_code)]
                    unsafe { call.launch(each(end - start)) }.map_err(candle_core::Error::wrap)?;
                    Ok(())
                })
            })
        })
    })
}

/// Calls `body` with a buffer's elements, where there is one.
fn with_mut<T: Real>(
    buffer: &Option<Tensor>,
    body: &mut dyn FnMut(Option<&mut CudaSlice<T>>) -> Result<()>,
) -> Result<()> {
    match buffer {
        None => body(None),
        Some(buffer) => buffer.inplace_op1(&Visit(Cell::new(Some(body)))),
    }
}

type Body<'a, T> = &'a mut dyn FnMut(Option<&mut CudaSlice<T>>) -> Result<()>;

/// candle hands out a tensor's elements for writing to an operation alone.
struct Visit<'a, T>(Cell<Option<Body<'a, T>>>);

impl<T: Real> InplaceOp1 for Visit<'_, T> {
    fn name(&self) -> &'static str {
        "optimizer buffer"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("an optimizer's buffer is on the CPU, its parameter on a card")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        match (self.0.take(), layout.contiguous_offsets()) {
            (Some(body), Some((0, _))) => body(Some(storage.as_cuda_slice_mut::<T>()?)),
            _ => bail!("an optimizer's buffer has another layout than its parameter"),
        }
    }
}
