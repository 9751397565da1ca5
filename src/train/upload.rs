//! Batches copied to a card ahead: from pinned memory, which a card reads by itself, and on a stream of their own, so that
//! the net works meanwhile.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, PinnedHostSlice};
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, Device, Error, Storage, Tensor};

use crate::Result;
use crate::data::Batch;

pub(super) struct Uploader {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    /// For the next batch; the last copy from it may not have ended.
    pinned: Option<PinnedHostSlice<f32>>,
}

impl Uploader {
    /// None where the device is no CUDA card.
    pub(super) fn new(device: &Device) -> Result<Option<Self>> {
        let Device::Cuda(device) = device else {
            return Ok(None);
        };
        let stream = device.cuda_stream().context().new_stream();
        Ok(Some(Self {
            device: device.clone(),
            stream: stream.map_err(Error::wrap)?,
            pinned: None,
        }))
    }

    /// The batch with its images on the way to the card; what uses them there waits for them.
    pub(super) fn copy(&mut self, batch: Batch) -> Result<Batch> {
        let images = batch.images.contiguous()?;
        let (storage, layout) = images.storage_and_layout();
        let values = match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => &values[start..end],
            // Of another type, or there already: as any tensor.
            _ => {
                drop(storage);
                return batch.to_device(&Device::Cuda(self.device.clone()));
            }
        };
        let n = values.len();
        let mut pinned = match self.pinned.take() {
            Some(pinned) if pinned.len() == n => pinned,
            _ => {
                // SAFETY: all of it is written below before any is read.
                #[allow(unsafe_code)]
                unsafe { self.stream.context().alloc_pinned::<f32>(n) }.map_err(Error::wrap)?
            }
        };
        // Waits for the copy before.
        let room = pinned.as_mut_slice().map_err(Error::wrap)?;
        room.copy_from_slice(values);
        // SAFETY: the copy writes all of it before any is read.
        #[allow(unsafe_code)]
        let mut there: CudaSlice<f32> = unsafe { self.stream.alloc(n) }.map_err(Error::wrap)?;
        let copied = self.stream.memcpy_htod(&pinned, &mut there);
        copied.map_err(Error::wrap)?;
        self.pinned = Some(pinned);
        let there = CudaStorage::wrap_cuda_slice(there, self.device.clone());
        let shape = images.shape().clone();
        let there = Tensor::from_storage(Storage::Cuda(there), shape, BackpropOp::none(), false);
        Ok(Batch {
            images: there,
            targets: batch.targets,
        })
    }
}
