//! A kernel, compiled for a card, and what it is called with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig,
};
use candle_core::cuda_backend::cudarc::nvrtc::sys::nvrtcVersion;
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::{CudaStorage, Layout, Result, bail};

use crate::ops::kept;

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
        static COMPILED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);
        let context = device.cuda_stream().context().clone();
        let (major, minor) = context
            .compute_capability()
            .map_err(candle_core::Error::wrap)?;
        let defined: Vec<String> = macros
            .iter()
            .map(|(name, to)| format!("-D{name}={to}"))
            .collect();
        let (own, real) = (self.name, T::NAME);
        let module = format!(
            "candlelight {own} {real} {} {major}.{minor}",
            defined.join(" ")
        );
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = compiled.get_or_insert_default();
        if !compiled.contains_key(&module) {
            let ptx = compile::<T>(self.name, self.text, (major, minor), defined)?;
            compiled.insert(module.clone(), ptx);
        }
        let function = device.get_or_load_custom_func(name, &module, &compiled[&module])?;
        Ok(Kernel {
            function: function.into_cuda_function(),
            stream: device.cuda_stream(),
        })
    }
}

/// The machine code of kernels for numbers of type `T`, on cards of a version.
pub(super) fn compile<T: Real>(
    name: &str,
    text: &str,
    (major, minor): (i32, i32),
    mut options: Vec<String>,
) -> Result<String> {
    options.extend([
        "--std=c++17".into(),
        format!("--gpu-architecture=compute_{major}{minor}"),
        format!("-Dreal={}", T::NAME),
        // NVRTC has no header for it.
        "-DINFINITY=__int_as_float(0x7f800000)".into(),
    ]);
    let (major, minor) = compiler_version()?;
    let key = format!("NVRTC {major}.{minor} {options:?}\n{text}");
    kept::compiled(&key, || {
        let options = CompileOptions {
            options,
            name: Some(format!("{name}.cu")),
            ..CompileOptions::default()
        };
        match compile_ptx_with_opts(text, options) {
            Ok(ptx) => Ok(ptx.to_src()),
            Err(error) => bail!("CUDA: {name} does not compile: {error:?}"),
        }
    })
}

fn compiler_version() -> Result<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: it writes two numbers.
    #[allow(unsafe_code)]
    let found = unsafe { nvrtcVersion(&mut major, &mut minor) };
    found.result().map_err(candle_core::Error::wrap)?;
    Ok((major, minor))
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
