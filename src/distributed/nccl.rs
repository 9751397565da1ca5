//! The ranks of a run on NVIDIA's cards, one card each.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaSlice, CudaStream, DevicePtrMut, DeviceRepr, DeviceSlice, SyncOnDrop,
};
use candle_core::cuda_backend::cudarc::nccl::result::{NcclError, NcclStatus};
use candle_core::cuda_backend::cudarc::nccl::{Comm, Id, NcclType, ReduceOp};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, Error, Layout, Result, Shape, Tensor, bail,
};

use super::communicator::Communicator;
use super::{Launch, rendezvous};
use crate::error::invalid;

pub(super) struct Nccl {
    comm: Comm,
    device: CudaDevice,
}

impl Nccl {
    /// Called on the thread that makes all later calls, too.
    pub(super) fn start(launch: Launch, device: CudaDevice) -> crate::Result<Self> {
        let address = rendezvous::address(|name| std::env::var(name).ok())?;
        let own = || match Id::new() {
            Ok(id) => Ok(id.internal().map(|byte| byte as u8)),
            Err(error) => refused(&format!("{error:?}")),
        };
        let bytes = rendezvous::share::<128>(launch, &address, own)?;
        let id = Id::uninit(bytes.map(|byte| byte as std::ffi::c_char));
        // Its own stream: the gradients travel while the backward pass goes on.
        let stream = device.cuda_stream().context().new_stream();
        let stream = stream.map_err(Error::wrap)?;
        match Comm::from_rank(stream, launch.rank, launch.world_size, id) {
            Ok(comm) => Ok(Self { comm, device }),
            Err(error) => refused(&format!("{error:?}")),
        }
    }
}

fn refused<T>(error: &str) -> crate::Result<T> {
    let problem = format!("cannot start: {error}; NCCL says more with NCCL_DEBUG=INFO");
    invalid("init_process_group", "backend", "nccl", problem)
}

impl Communicator for Nccl {
    fn mean(&mut self, flat: &Tensor) -> Result<Tensor> {
        flat.apply_op1_no_bwd(&Collective {
            nccl: self,
            mean: true,
        })
    }

    fn broadcast(&mut self, flat: &Tensor) -> Result<Tensor> {
        flat.apply_op1_no_bwd(&Collective {
            nccl: self,
            mean: false,
        })
    }

    fn leave(self) {
        // The end of NCCL's communicator waits for nobody. Where this fails, another rank has, and the launcher ends all.
        let stream = self.comm.stream();
        if let Ok(mut one) = stream.alloc_zeros::<f32>(1) {
            self.comm.all_reduce_in_place(&mut one, &ReduceOp::Avg).ok();
            stream.synchronize().ok();
        }
    }

    fn mean_at(&mut self, address: u64, n: usize, after: &CudaEvent) -> Result<CudaEvent> {
        let stream = self.comm.stream();
        stream.wait(after).map_err(Error::wrap)?;
        let mut numbers = InPlace { address, n, stream };
        checked(self.comm.all_reduce_in_place(&mut numbers, &ReduceOp::Avg))?;
        let done = numbers.stream.record_event(None);
        done.map_err(Error::wrap)
    }
}

fn checked(done: std::result::Result<NcclStatus, NcclError>) -> Result<()> {
    match done {
        Ok(_) => Ok(()),
        Err(error) => bail!("nccl: {error:?}; NCCL says more with NCCL_DEBUG=INFO"),
    }
}

/// Numbers that others keep. No event stands for them, for in a capture none from outside can be waited for.
struct InPlace {
    address: u64,
    n: usize,
    stream: Arc<CudaStream>,
}

impl DeviceSlice<f32> for InPlace {
    fn len(&self) -> usize {
        self.n
    }

    fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }
}

impl DevicePtrMut<f32> for InPlace {
    fn device_ptr_mut<'a>(&'a mut self, _: &'a CudaStream) -> (u64, SyncOnDrop<'a>) {
        (self.address, SyncOnDrop::Sync(None))
    }
}

/// The mean over the ranks, or rank 0's values: candle hands out a tensor's memory to an operation alone.
struct Collective<'a> {
    nccl: &'a Nccl,
    mean: bool,
}

// SAFETY: the operation is applied on the thread that made it, and is gone when that call returns.
#[allow(unsafe_code)]
unsafe impl Send for Collective<'_> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Collective<'_> {}

impl Collective<'_> {
    fn run<T: CudaDType + DeviceRepr + NcclType>(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> Result<CudaStorage> {
        let Nccl { comm, device } = self.nccl;
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("nccl: a tensor is not contiguous");
        };
        let own = storage.as_cuda_slice::<T>()?.slice(start..end);
        // SAFETY: NCCL writes all of it before any is read.
        #[allow(unsafe_code)]
        let mut found: CudaSlice<T> = unsafe { device.alloc::<T>(end - start)? };
        // After what candle's stream has been given so far: a slice's own event is not told of all that writes it, for a
        // tensor that candle copies into is one that it reads to cudarc.
        let before = device.cuda_stream().record_event(None);
        let before = before.map_err(Error::wrap)?;
        comm.stream().wait(&before).map_err(Error::wrap)?;
        checked(match self.mean {
            true => comm.all_reduce(&own, &mut found, &ReduceOp::Avg),
            false => comm.broadcast(Some(&own), &mut found, 0),
        })?;
        Ok(CudaStorage::wrap_cuda_slice(found, device.clone()))
    }
}

impl CustomOp1 for Collective<'_> {
    fn name(&self) -> &'static str {
        "nccl"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("nccl: carries tensors of a CUDA card, and this one is on the CPU")
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let found = match candle_core::backend::BackendStorage::dtype(storage) {
            DType::F32 => self.run::<f32>(storage, layout)?,
            DType::F64 => self.run::<f64>(storage, layout)?,
            other => bail!("nccl: carries f32 and f64, not {other:?}; convert it with to_dtype"),
        };
        Ok((found, layout.shape().clone()))
    }
}
