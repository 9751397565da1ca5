//! A pass of a captured step over an epoch: what it is given, its launches, and what they found, which is read while later
//! ones run.

use std::ops::Range;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::result::graph;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr};
use candle_core::{Error, Result, Var};

use super::captured::{Captured, address};
use crate::ops::captured::{Memory, Place};
use crate::ops::update::{Buffers, OnCard};

/// What changes from epoch to epoch.
pub(crate) struct Given<'a> {
    /// The place of each image among the images, and its class.
    pub(crate) order: &'a [u32],
    pub(crate) targets: &'a [i64],
    /// What divides the sum of each step's losses.
    pub(crate) divisors: &'a [f64],
    /// Where the net is trained: the optimizer's numbers of each step, and what it remembers of each parameter.
    pub(crate) steps: &'a [OnCard],
    pub(crate) parameters: &'a [(Var, Buffers)],
}

/// What a step found: the sum of its images' losses, and how many of their classes were found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) losses: f64,
    pub(crate) right: usize,
}

/// How many steps are read at once: an epoch of MNIST is read in 15 pieces.
const PIECE: usize = 64;

/// An epoch so far.
pub(crate) struct Pass {
    pub(super) images: usize,
    pub(super) launched: usize,
    /// The last piece, which is read once the next has been launched.
    last: Option<(Range<usize>, CudaEvent)>,
}

impl Pass {
    /// Over so many images.
    pub(crate) fn new(images: usize) -> Self {
        Self {
            images,
            launched: 0,
            last: None,
        }
    }
}

impl Captured {
    /// An epoch. `report` is told of so many steps at a time, with the number of the first, while later ones run.
    pub(crate) fn epoch<E: From<Error>>(
        &mut self,
        given: &Given<'_>,
        mut report: impl FnMut(usize, Vec<Step>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.give(given)?;
        let mut pass = Pass::new(given.order.len());
        for _ in 0..given.divisors.len() {
            self.launch(&mut pass)?;
            if let Some((first, steps)) = self.found(&mut pass)? {
                report(first, steps)?;
            }
        }
        for (first, steps) in self.rest(pass)? {
            report(first, steps)?;
        }
        Ok(())
    }

    pub(super) fn launch(&self, pass: &mut Pass) -> Result<()> {
        let context = self.stream.context();
        context.bind_to_thread().map_err(Error::wrap)?;
        // SAFETY: the graph is kept, and what its kernels work on; on candle's stream, behind what wrote that.
        #[allow(unsafe_code)]
        unsafe { graph::launch(self.graph.cu_graph_exec(), self.stream.cu_stream()) }
            .map_err(Error::wrap)?;
        pass.launched += 1;
        Ok(())
    }

    /// What a piece of earlier steps found, with the number of the first, where a piece has been launched since.
    pub(crate) fn found(&self, pass: &mut Pass) -> Result<Option<(usize, Vec<Step>)>> {
        match pass.launched % PIECE {
            0 => self.end_piece(pass),
            _ => Ok(None),
        }
    }

    /// What the steps found that are left.
    pub(crate) fn rest(&self, mut pass: Pass) -> Result<Vec<(usize, Vec<Step>)>> {
        let before = self.end_piece(&mut pass)?;
        let last = self.end_piece(&mut pass)?;
        Ok(before.into_iter().chain(last).collect())
    }

    fn end_piece(&self, pass: &mut Pass) -> Result<Option<(usize, Vec<Step>)>> {
        let from = pass.last.as_ref().map_or(0, |(piece, _)| piece.end);
        let done = self.stream.record_event(None).map_err(Error::wrap)?;
        match pass.last.replace((from..pass.launched, done)) {
            Some((piece, done)) if !piece.is_empty() => {
                let first = piece.start;
                Ok(Some((first, self.read(piece, &done, pass.images)?)))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn give(&mut self, given: &Given<'_>) -> Result<()> {
        let base = self.own.device_ptr(&self.stream).0;
        let all = given.parameters.iter();
        let there = all.map(|(_, buffers)| buffers.each_ref().map(Option::is_some));
        let there: Vec<_> = there.collect();
        let mut table = Vec::new();
        for word in self.plan.parameters(&there) {
            let bits = word.bits(|memory| match memory {
                Memory::Own => Ok(base),
                Memory::Images => Ok(self.images),
                Memory::Parameter(i) => address::<f32>(&given.parameters[i].0, &self.stream),
                Memory::Buffer(i, b) => match &given.parameters[i].1[b] {
                    Some(buffer) => address::<f32>(buffer, &self.stream),
                    None => Ok(0),
                },
            })?;
            table.extend(bits.to_le_bytes());
        }
        let epoch = self.plan.epoch;
        let order = given.order.iter().flat_map(|row| row.to_le_bytes());
        let targets = given.targets.iter().flat_map(|target| target.to_le_bytes());
        let steps = given.steps.iter().flat_map(OnCard::bytes);
        let divisors = given
            .divisors
            .iter()
            .flat_map(|number| number.to_le_bytes());
        let mut put =
            |place: Place, bytes: Vec<u8>| write(&self.stream, &mut self.own, place.offset, &bytes);
        put(epoch.order, order.collect())?;
        put(epoch.targets, targets.collect())?;
        put(epoch.steps, steps.collect())?;
        put(epoch.divisors, divisors.collect())?;
        put(epoch.next, 0i64.to_le_bytes().into())?;
        put(epoch.parameters, table)?;
        self.stream.synchronize().map_err(Error::wrap)
    }

    /// What a piece's steps have found, which have run at the event.
    fn read(&self, piece: Range<usize>, done: &CudaEvent, total: usize) -> Result<Vec<Step>> {
        self.reading.wait(done).map_err(Error::wrap)?;
        let (epoch, batch) = (&self.plan.epoch, self.plan.batch);
        let (from, to) = (piece.start * batch, total.min(piece.end * batch));
        let read = |place: Place, size: usize| {
            let start = place.offset + from * size;
            let bytes = self.own.slice(start..start + (to - from) * size);
            self.reading.clone_dtoh(&bytes).map_err(Error::wrap)
        };
        let losses = read(epoch.losses, 4)?;
        let right = read(epoch.right, 1)?;
        // A copy to memory that is not pinned may return before it is done.
        self.reading.synchronize().map_err(Error::wrap)?;
        let batches = losses.chunks(4 * batch).zip(right.chunks(batch));
        let step = |(losses, right): (&[u8], &[u8])| {
            let losses = losses.chunks_exact(4).map(|bytes| {
                let mut own = [0; 4];
                own.copy_from_slice(bytes);
                f64::from(f32::from_le_bytes(own))
            });
            Step {
                losses: losses.sum(),
                right: right.iter().filter(|&&right| right == 1).count(),
            }
        };
        Ok(batches.map(step).collect())
    }
}

pub(super) fn write(
    stream: &Arc<CudaStream>,
    to: &mut CudaSlice<u8>,
    offset: usize,
    bytes: &[u8],
) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut there = to.slice_mut(offset..offset + bytes.len());
    stream.memcpy_htod(bytes, &mut there).map_err(Error::wrap)
}
