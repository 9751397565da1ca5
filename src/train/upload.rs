//! Batches copied to a card ahead: from pinned memory, which a card reads by itself, and on a stream of their own, so that
//! the net works meanwhile.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, PinnedHostSlice};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, Device, Error, Shape, Storage, Tensor};

use crate::Result;
use crate::data::Batch;

/// Two batches have a place on the card: one is copied to while the other is taken.
pub(super) struct Uploader {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    places: [Option<Place>; 2],
    next: usize,
}

/// cudarc's events order what is done with it: the copy to it, on this stream, and that from it, on candle's.
struct Place {
    pinned: PinnedHostSlice<f32>,
    there: CudaSlice<f32>,
}

/// A batch on its way.
pub(super) enum Sent {
    To {
        place: usize,
        shape: Shape,
        targets: Tensor,
    },
    /// Of another type, or there already.
    Whole(Batch),
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
            places: [None, None],
            next: 0,
        }))
    }

    /// Begins to copy the batch's images.
    pub(super) fn send(&mut self, batch: Batch) -> Result<Sent> {
        let images = batch.images.contiguous()?;
        let (storage, layout) = images.storage_and_layout();
        let values = match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => &values[start..end],
            _ => {
                drop(storage);
                let device = Device::Cuda(self.device.clone());
                return Ok(Sent::Whole(batch.to_device(&device)?));
            }
        };
        let n = values.len();
        let place = self.next;
        self.next = (place + 1) % self.places.len();
        let own = match &mut self.places[place] {
            Some(own) if own.pinned.len() == n => own,
            other => other.insert(Place::new(&self.stream, n)?),
        };
        // Waits for the copy before.
        let room = own.pinned.as_mut_slice().map_err(Error::wrap)?;
        room.copy_from_slice(values);
        let copied = self.stream.memcpy_htod(&own.pinned, &mut own.there);
        copied.map_err(Error::wrap)?;
        Ok(Sent::To {
            place,
            shape: images.shape().clone(),
            targets: batch.targets,
        })
    }

    /// The batch, whose images what uses them waits for. Called before the one after the next is sent.
    pub(super) fn receive(&self, sent: Sent) -> Result<Batch> {
        let (place, shape, targets) = match sent {
            Sent::Whole(batch) => return Ok(batch),
            Sent::To {
                place,
                shape,
                targets,
            } => (place, shape, targets),
        };
        let Some(own) = &self.places[place] else {
            unreachable!("it was sent there")
        };
        // Not the place itself: to candle a tensor's memory is its own stream's.
        let images = self.device.cuda_stream().clone_dtod(&own.there);
        let images = images.map_err(Error::wrap)?;
        let images = Storage::Cuda(CudaStorage::wrap_cuda_slice(images, self.device.clone()));
        Ok(Batch {
            images: Tensor::from_storage(images, shape, BackpropOp::none(), false),
            targets,
        })
    }
}

impl Place {
    fn new(stream: &Arc<CudaStream>, n: usize) -> Result<Self> {
        // SAFETY: all of it is written before any is read, as what is on the card.
        #[allow(unsafe_code)]
        let pinned = unsafe { stream.context().alloc_pinned::<f32>(n) }.map_err(Error::wrap)?;
        // SAFETY: as above.
        #[allow(unsafe_code)]
        let there = unsafe { stream.alloc::<f32>(n) }.map_err(Error::wrap)?;
        Ok(Self { pinned, there })
    }
}
