//! A kernel, compiled for a card, and what it is called with.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::{CudaStorage, Layout, Result, bail};

use super::code::{Unit, loaded};

/// Numbers of a kernel: f32 or f64.
pub(super) trait Real: CudaDType + DeviceRepr {
    /// What C++ calls it.
    const NAME: &'static str;
}

impl Real for f32 {
    const NAME: &'static str = "float";
}

impl Real for f64 {
    const NAME: &'static str = "double";
}

/// Runs the body with `T` as the storage's type.
macro_rules! for_real {
    ($storage:expr, $T:ident => $body:expr) => {
        match candle_core::backend::BackendStorage::dtype($storage) {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("CUDA: computes in f32 and f64, not {other:?}"),
        }
    };
}
pub(super) use for_real;

/// An address that no kernel follows.
pub(super) const NOWHERE: u64 = 0;

/// Adds a slice, or an address that is not followed.
macro_rules! or_nowhere {
    ($call:expr, $slice:expr) => {
        match $slice {
            Some(slice) => $call.arg(slice),
            None => $call.arg(&$crate::ops::cuda::launch::NOWHERE),
        }
    };
}
pub(super) use or_nowhere;

/// A file of kernels.
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

impl Source {
    /// One of its kernels, for numbers of type `T`.
    pub(super) fn kernel<T: Real>(&self, device: &CudaDevice, name: &str) -> Result<Kernel> {
        self.kernel_with::<T>(device, name, &[])
    }

    /// One of its kernels, compiled with these macros.
    pub(super) fn kernel_with<T: Real>(
        &self,
        device: &CudaDevice,
        name: &str,
        macros: &[(&str, usize)],
    ) -> Result<Kernel> {
        let mut options = vec![format!("-Dreal={}", T::NAME)];
        options.extend(macros.iter().map(|(name, to)| format!("-D{name}={to}")));
        let unit = Unit {
            name: self.name,
            text: self.text,
            own: String::new(),
            options,
        };
        let [module] = &loaded(device, &[unit])?[..] else {
            bail!("CUDA: {} is not loaded", self.name)
        };
        Ok(Kernel {
            function: module
                .load_function(name)
                .map_err(candle_core::Error::wrap)?,
            stream: device.cuda_stream(),
        })
    }
}

/// One of a file's kernels, on the stream that the device's tensors live on.
pub(super) struct Kernel {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

impl Kernel {
    /// Its next call.
    pub(super) fn call(&self) -> LaunchArgs<'_> {
        self.stream.launch_builder(&self.function)
    }
}

/// The elements of a contiguous tensor.
pub(super) fn view<'a, T: Real>(
    storage: &'a CudaStorage,
    layout: &Layout,
) -> Result<CudaView<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => bail!("CUDA: a tensor is not contiguous"),
    }
}

/// Room for `n` numbers, all of which the kernel writes.
pub(super) fn room<T: DeviceRepr>(device: &CudaDevice, n: usize) -> Result<CudaSlice<T>> {
    // SAFETY: a kernel writes them before any is read.
    #[allow(unsafe_code)]
    unsafe {
        device.alloc::<T>(n)
    }
}

/// A thread for each of `n` numbers; of very many, a thread has several.
pub(super) fn each(n: usize) -> LaunchConfig {
    const THREADS: usize = 256;
    let blocks = n.div_ceil(THREADS).clamp(1, 1 << 16);
    config(blocks, THREADS)
}

/// A block for each of `n` sums.
pub(super) fn sums(n: usize) -> LaunchConfig {
    config(n, 256)
}

pub(super) fn config(blocks: usize, threads: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (threads as u32, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// How many blocks of threads a card has at work at once, or a few times as many.
pub(crate) fn multiprocessors(device: &CudaDevice) -> Result<usize> {
    let stream = device.cuda_stream();
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    let count = stream.context().attribute(attribute);
    Ok(count.map_err(candle_core::Error::wrap)?.max(1) as usize)
}

/// What the kernels count with.
pub(super) fn int(what: &str, number: usize) -> Result<i32> {
    match i32::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => bail!("CUDA: {what}={number} is above {}", i32::MAX),
    }
}

/// For the storage of a result.
pub(super) fn wrap<T: Real>(values: CudaSlice<T>, device: &CudaDevice) -> CudaStorage {
    CudaStorage::wrap_cuda_slice(values, device.clone())
}
