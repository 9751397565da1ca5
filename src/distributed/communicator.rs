//! What a backend does, and the thread that it does it on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

#[cfg(feature = "cuda")]
use candle_core::cuda_backend::cudarc::driver::CudaEvent;
use candle_core::{DType, Tensor};

use super::Launch;
use crate::{Error, Result};

/// What all ranks do together, in the same order on each. Called on one thread.
pub(super) trait Communicator {
    /// The mean of the ranks' tensors, which have one axis and the same length.
    fn mean(&mut self, flat: &Tensor) -> candle_core::Result<Tensor>;

    /// Rank 0's tensor.
    fn broadcast(&mut self, flat: &Tensor) -> candle_core::Result<Tensor>;

    /// Ends it, once the others end it, too.
    fn leave(self)
    where
        Self: Sized,
    {
    }

    /// The mean of so many f32 in the place of those at a card's address, begun after the event; where that is captured,
    /// this is, too. Gives the event of its end.
    #[cfg(feature = "cuda")]
    fn mean_at(
        &mut self,
        address: u64,
        n: usize,
        after: &CudaEvent,
    ) -> candle_core::Result<CudaEvent> {
        let _ = (address, n, after);
        candle_core::bail!("this backend carries nothing from card to card; use nccl")
    }
}

type Job = Box<dyn FnOnce(&mut dyn Communicator) + Send>;

/// A thread that does the group's work beside the net's.
pub(super) struct Worker {
    /// None after [`finish`](Self::finish).
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    finished: Arc<AtomicBool>,
}

impl Worker {
    /// `start` makes the communicator, on the worker's thread, which also ends it.
    #[cfg_attr(not(any(feature = "mpi", feature = "nccl")), expect(dead_code))]
    pub(super) fn start<C: Communicator>(
        launch: Launch,
        start: impl FnOnce(Launch) -> Result<C> + Send + 'static,
    ) -> Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (started, ready) = channel();
        let finished = Arc::new(AtomicBool::new(false));
        let leave = finished.clone();
        let work = move || match start(launch) {
            Ok(mut communicator) => {
                started.send(Ok(())).ok();
                for job in todo {
                    job(&mut communicator);
                }
                // To take leave waits for the others. Of a rank that failed they hear by its end.
                match leave.load(Ordering::Acquire) {
                    true => communicator.leave(),
                    false => std::mem::forget(communicator),
                }
            }
            Err(error) => {
                started.send(Err(error)).ok();
            }
        };
        let thread = thread::Builder::new().name("process group".into());
        let thread = thread.spawn(work);
        let thread = thread.map_err(|error| gone(format!("no thread can be started: {error}")))?;
        ready.recv().unwrap_or_else(|_| Err(gone(PANICKED)))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            finished,
        })
    }

    /// Has the work done behind what was given before.
    pub(super) fn give<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Communicator) -> candle_core::Result<R> + Send + 'static,
    ) -> Pending<R> {
        let (done, result) = channel();
        let job: Job = Box::new(move |communicator| {
            done.send(work(communicator)).ok();
        });
        if let Some(jobs) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            // Where the thread is gone, `wait` finds no result.
            jobs.send(job).ok();
        }
        Pending(result)
    }

    /// Takes leave of the other ranks, once all work is done.
    pub(super) fn finish(&self) -> Result<()> {
        self.finished.store(true, Ordering::Release);
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match thread.map(JoinHandle::join) {
            Some(Err(_)) => Err(gone(PANICKED)),
            _ => Ok(()),
        }
    }
}

const PANICKED: &str = "it was destroyed before, or its thread has panicked";

/// What comes of work that was given.
pub(super) struct Pending<R>(Receiver<candle_core::Result<R>>);

impl<R> Pending<R> {
    pub(super) fn wait(self) -> Result<R> {
        match self.0.recv() {
            Ok(result) => Ok(result?),
            Err(_) => Err(gone(PANICKED)),
        }
    }
}

fn gone(problem: impl Into<String>) -> Error {
    Error::InvalidParameter {
        layer: "ProcessGroup",
        parameter: "state",
        value: "ended".into(),
        problem: format!("({}); start all ranks again", problem.into()),
    }
}

/// Tensors of one type as one with one axis.
pub(super) fn flatten(tensors: &[Tensor]) -> candle_core::Result<Tensor> {
    let flat = tensors.iter().map(Tensor::flatten_all);
    let flat = flat.collect::<candle_core::Result<Vec<_>>>()?;
    match &flat[..] {
        [one] => one.contiguous(),
        _ => Tensor::cat(&flat, 0),
    }
}

/// `flat` in the shapes that the tensors have.
pub(super) fn unflatten(flat: &Tensor, like: &[Tensor]) -> candle_core::Result<Vec<Tensor>> {
    let mut at = 0;
    let part = |tensor: &Tensor| {
        let n = tensor.elem_count();
        at += n;
        // A copy of its own: optimizers read a gradient from its start.
        flat.narrow(0, at - n, n)?
            .force_contiguous()?
            .reshape(tensor.shape())
    };
    like.iter().map(part).collect()
}

/// Neighbours of one type: f32 and f64 cannot travel as one.
pub(super) fn runs(tensors: Vec<Tensor>) -> Vec<Vec<Tensor>> {
    let mut runs: Vec<(DType, Vec<Tensor>)> = Vec::new();
    for tensor in tensors {
        match runs.last_mut() {
            Some((dtype, run)) if *dtype == tensor.dtype() => run.push(tensor),
            _ => runs.push((tensor.dtype(), vec![tensor])),
        }
    }
    runs.into_iter().map(|(_, run)| run).collect()
}
