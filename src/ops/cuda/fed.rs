//! An epoch of a captured step whose batches come one by one: each goes from pinned memory, which a card reads by itself,
//! to one of a ring of places there, on a stream of its own, while the steps before it run.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaEvent, CudaStream, PinnedHostSlice,
};
use candle_core::{Error, Result, Var, bail};

use super::captured::Captured;
use super::pass::{Given, Pass, write};
use crate::ops::captured::{Plan, RING};
use crate::ops::update::{Buffers, OnCard};

/// A batch, and what else its step takes.
pub(crate) struct Fed<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) targets: &'a [i64],
    /// What divides the sum of its losses.
    pub(crate) divisor: f64,
    pub(crate) numbers: OnCard,
    pub(crate) parameters: &'a [(Var, Buffers)],
}

/// The ring's way to the card.
pub(super) struct Ring {
    stream: Arc<CudaStream>,
    places: Vec<RingPlace>,
}

struct RingPlace {
    pinned: PinnedHostSlice<u8>,
    /// That the last step that read it has.
    read: Option<CudaEvent>,
}

impl Ring {
    pub(super) fn new(context: &Arc<CudaContext>, plan: &Plan) -> Result<Self> {
        let bytes = size_of::<f32>() * plan.batch * plan.pixels;
        let place = |_| {
            // SAFETY: all of it is written here, before any is read.
            #[allow(unsafe_code)]
            let mut pinned = unsafe { context.alloc_pinned::<u8>(bytes) }.map_err(Error::wrap)?;
            pinned.as_mut_slice().map_err(Error::wrap)?.fill(0);
            Ok(RingPlace { pinned, read: None })
        };
        Ok(Self {
            stream: context.new_stream().map_err(Error::wrap)?,
            places: (0..RING).map(place).collect::<Result<_>>()?,
        })
    }
}

impl Captured {
    /// Gives a pass its next batch and launches the step. It returns before that has run, but waits where the card is a whole
    /// ring of batches behind.
    pub(crate) fn feed(&mut self, pass: &mut Pass, batch: &Fed<'_>) -> Result<()> {
        let step = pass.launched;
        if step == 0 {
            let places = (RING * self.plan.batch) as u32;
            let order: Vec<u32> = (0..pass.images as u32).map(|i| i % places).collect();
            self.give(&Given {
                order: &order,
                targets: &[],
                divisors: &[],
                steps: &[],
                parameters: batch.parameters,
            })?;
        }
        let epoch = self.plan.epoch;
        let (Some(ring), Some(start)) = (&mut self.ring, epoch.ring) else {
            bail!("a captured step that is not fed");
        };
        let place = &mut ring.places[step % RING];
        // Waits for the copy that it was read for before.
        let room = place.pinned.as_mut_slice().map_err(Error::wrap)?;
        for (to, pixel) in room.chunks_exact_mut(size_of::<f32>()).zip(batch.images) {
            to.copy_from_slice(&pixel.to_le_bytes());
        }
        let stream = &ring.stream;
        if let Some(read) = place.read.take() {
            stream.wait(&read).map_err(Error::wrap)?;
        }
        let offset = start.offset + step % RING * place.pinned.len();
        let mut there = self.own.slice_mut(offset..offset + place.pinned.len());
        let copied = stream.memcpy_htod(&place.pinned, &mut there);
        copied.map_err(Error::wrap)?;
        let mut put = |offset: usize, bytes: Vec<u8>| write(stream, &mut self.own, offset, &bytes);
        let targets = batch.targets.iter().flat_map(|target| target.to_le_bytes());
        let from = step * self.plan.batch * size_of::<i64>();
        put(epoch.targets.offset + from, targets.collect())?;
        let from = step * size_of::<f64>();
        put(
            epoch.divisors.offset + from,
            batch.divisor.to_le_bytes().into(),
        )?;
        let from = step * size_of::<OnCard>();
        put(epoch.steps.offset + from, batch.numbers.bytes().collect())?;
        let there = stream.record_event(None).map_err(Error::wrap)?;
        self.stream.wait(&there).map_err(Error::wrap)?;
        self.launch(pass)?;
        let read = self.stream.record_event(None).map_err(Error::wrap)?;
        if let Some(ring) = &mut self.ring {
            ring.places[step % RING].read = Some(read);
        }
        Ok(())
    }
}
