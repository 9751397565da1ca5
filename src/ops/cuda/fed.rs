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
    pub(super) stream: Arc<CudaStream>,
    places: Vec<RingPlace>,
}

struct RingPlace {
    /// Images, targets, divisor and the optimizer's numbers.
    pinned: PinnedHostSlice<u8>,
    /// That all of it is on the card.
    copied: Option<CudaEvent>,
    /// That the last step that read the images has.
    read: Option<CudaEvent>,
}

impl Ring {
    pub(super) fn new(context: &Arc<CudaContext>, plan: &Plan) -> Result<Self> {
        let bytes = size_of::<f32>() * plan.batch * plan.pixels
            + size_of::<i64>() * plan.batch
            + size_of::<f64>()
            + size_of::<OnCard>();
        let place = |_| {
            // SAFETY: all of it is written here, before any is read.
            #[allow(unsafe_code)]
            let mut pinned = unsafe { context.alloc_pinned::<u8>(bytes) }.map_err(Error::wrap)?;
            pinned.as_mut_slice().map_err(Error::wrap)?.fill(0);
            Ok(RingPlace {
                pinned,
                copied: None,
                read: None,
            })
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
        if let Some(copied) = place.copied.take() {
            copied.synchronize().map_err(Error::wrap)?;
        }
        let images = size_of::<f32>() * self.plan.batch * self.plan.pixels;
        let parts = [
            (start.offset + step % RING * images, images),
            (
                epoch.targets.offset + step * self.plan.batch * size_of::<i64>(),
                size_of_val(batch.targets),
            ),
            (
                epoch.divisors.offset + step * size_of::<f64>(),
                size_of::<f64>(),
            ),
            (
                epoch.steps.offset + step * size_of::<OnCard>(),
                size_of::<OnCard>(),
            ),
        ];
        let mut rest = place.pinned.as_mut_slice().map_err(Error::wrap)?;
        let mut next = |i: usize| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(parts[i].1);
            rest = others;
            part
        };
        fill(
            next(0),
            batch.images.iter().map(|pixel| pixel.to_le_bytes()),
        );
        fill(
            next(1),
            batch.targets.iter().map(|target| target.to_le_bytes()),
        );
        fill(next(2), [batch.divisor.to_le_bytes()]);
        fill(next(3), batch.numbers.bytes().map(|byte| [byte]));
        let stream = &ring.stream;
        if let Some(read) = place.read.take() {
            stream.wait(&read).map_err(Error::wrap)?;
        }
        let mut rest = place.pinned.as_slice().map_err(Error::wrap)?;
        for (offset, bytes) in parts {
            let (part, others) = rest.split_at(bytes);
            write(stream, &mut self.own, offset, part)?;
            rest = others;
        }
        let copied = stream.record_event(None).map_err(Error::wrap)?;
        self.stream.wait(&copied).map_err(Error::wrap)?;
        place.copied = Some(copied);
        self.launch(pass)?;
        let read = self.stream.record_event(None).map_err(Error::wrap)?;
        if let Some(ring) = &mut self.ring {
            ring.places[step % RING].read = Some(read);
        }
        Ok(())
    }
}

/// Writes numbers' bytes to memory, from its start on.
fn fill<const N: usize>(to: &mut [u8], numbers: impl IntoIterator<Item = [u8; N]>) {
    for (to, number) in to.chunks_exact_mut(N).zip(numbers) {
        to.copy_from_slice(&number);
    }
}
