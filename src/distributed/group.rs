use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::cuda_backend::cudarc::driver::CudaEvent;
use candle_core::{Device, Tensor, Var};

use super::communicator::{Pending, Worker, flatten, runs, unflatten};
use super::{Backend, Launch, end};
use crate::train::DeviceChoice;
use crate::{Error, Result};

/// The ranks of one run. A clone is of the same group.
///
/// [`barrier`](Self::barrier), [`all_reduce_mean`](Self::all_reduce_mean) and [`broadcast`](Self::broadcast) are to be
/// called on all ranks, in the same order: each waits for the others. The other methods are this rank's alone.
#[derive(Clone)]
pub struct ProcessGroup {
    launch: Launch,
    backend: Backend,
    device: DeviceChoice,
    /// None where there is one rank.
    worker: Option<Arc<Worker>>,
}

/// Joins the other ranks that a launcher started, as PyTorch's `init_process_group(backend)` does.
///
/// Without a launcher this is the only rank: then the build needs no backend, and nothing is sent. With NCCL the rank has
/// the card whose number is its `local_rank`, or the one that `CUDA_VISIBLE_DEVICES` shows it alone.
///
/// A program that has done its work ends with [`destroy_process_group`]. One that ends without it, by an error, a
/// panic or a kill, has failed to the launcher, which ends the other ranks, too. Each of these says so in a line on
/// standard error, with the checkpoint to go on from where the trainer wrote one.
///
/// # Errors
///
/// [`Error::InvalidParameter`] where the environment does not say which rank this is ([`Launch::from_env`]) or, with
/// NCCL, where rank 0 is (`MASTER_ADDR`, `MASTER_PORT`), where it and the backend do not agree, where NCCL cannot start
/// or not all ranks come, or where MPI has been started before;
/// [`Error::MissingFeature`] where there are several ranks and this build is without the backend;
/// [`Error::NoDevice`] where the backend is NCCL and this rank has no card.
///
/// # Example
///
/// ```
/// use candlelight::distributed::{Backend, destroy_process_group, init_process_group};
///
/// # fn main() -> candlelight::Result<()> {
/// let group = init_process_group(Backend::Mpi)?;
/// assert_eq!(group.to_string(), "rank 0 of 1");
/// destroy_process_group(&group)?;
/// # Ok(())
/// # }
/// ```
pub fn init_process_group(backend: Backend) -> Result<ProcessGroup> {
    let launch = Launch::from_env()?;
    let device: DeviceChoice = match backend {
        Backend::Mpi => "cpu".parse()?,
        Backend::Nccl => {
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
            launch.card(visible.as_deref()).parse()?
        }
    };
    let worker = match launch.world_size {
        1 => None,
        _ => Some(Arc::new(start(backend, launch, &device)?)),
    };
    Ok(ProcessGroup {
        launch,
        backend,
        device,
        worker,
    })
}

/// Takes leave of the other ranks; waits for those that still have work. Neither this handle nor its clones can be
/// used after it.
///
/// # Errors
///
/// [`Error::InvalidParameter`] where the group's thread has panicked.
pub fn destroy_process_group(group: &ProcessGroup) -> Result<()> {
    match &group.worker {
        Some(worker) => worker.finish(),
        None => Ok(()),
    }
}

#[cfg_attr(not(feature = "nccl"), expect(unused_variables))]
fn start(backend: Backend, launch: Launch, device: &Device) -> Result<Worker> {
    #[cfg(not(all(feature = "mpi", feature = "nccl")))]
    let missing = |over, feature| {
        let what = format!("{} ranks over {over}", launch.world_size);
        Err(Error::MissingFeature { what, feature })
    };
    match backend {
        #[cfg(feature = "mpi")]
        Backend::Mpi => {
            let worker = Worker::start(launch, super::mpi::Mpi::start)?;
            end::watch(launch);
            Ok(worker)
        }
        #[cfg(not(feature = "mpi"))]
        Backend::Mpi => missing("MPI", "mpi"),
        #[cfg(feature = "nccl")]
        Backend::Nccl => {
            let card = device.as_cuda_device()?.clone();
            let start = move |launch| super::nccl::Nccl::start(launch, card);
            let worker = Worker::start(launch, start)?;
            end::watch(launch);
            Ok(worker)
        }
        #[cfg(not(feature = "nccl"))]
        Backend::Nccl => missing("NCCL", "nccl"),
    }
}

impl ProcessGroup {
    /// This process's number, from 0. Rank 0 is the one that writes and prints.
    pub fn rank(&self) -> usize {
        self.launch.rank
    }

    /// How many processes there are.
    pub fn world_size(&self) -> usize {
        self.launch.world_size
    }

    /// Its number among those of the same machine, from 0.
    pub fn local_rank(&self) -> usize {
        self.launch.local_rank
    }

    /// What carries the gradients.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Where this rank's net has to be: the CPU, or with NCCL the card of its number on its machine.
    pub fn device(&self) -> &DeviceChoice {
        &self.device
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] after [`destroy_process_group`].
    pub fn barrier(&self) -> Result<()> {
        self.sum(vec![0.0])?;
        Ok(())
    }

    /// The mean of each tensor over the ranks.
    ///
    /// # Errors
    ///
    /// What candle returns; f32 and f64 are carried.
    pub fn all_reduce_mean(&self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
        self.mean_beside(tensors).wait()
    }

    /// Starts it, and goes on.
    pub(super) fn mean_beside(&self, tensors: Vec<Tensor>) -> Mean {
        let Some(worker) = &self.worker else {
            return Mean::Alone(tensors);
        };
        Mean::Pending(worker.give(move |communicator| {
            let mut means = Vec::with_capacity(tensors.len());
            for run in runs(tensors) {
                let mean = communicator.mean(&flatten(&run)?)?;
                means.extend(unflatten(&mean, &run)?);
            }
            Ok(means)
        }))
    }

    /// The sum of each number over the ranks.
    pub(crate) fn sum(&self, numbers: Vec<f64>) -> Result<Vec<f64>> {
        if self.worker.is_none() {
            return Ok(numbers);
        }
        let n = numbers.len();
        let own = Tensor::from_vec(numbers, n, &self.device)?;
        let means = self.all_reduce_mean(vec![own])?;
        let means = means[0].to_vec1::<f64>()?.into_iter();
        Ok(means.map(|mean| mean * self.world_size() as f64).collect())
    }

    /// The mean of so many f32 in the place of those at an address of this rank's card: see
    /// [`Communicator::mean_at`](super::communicator::Communicator). Gives the events of its beginning and its end.
    #[cfg(feature = "cuda")]
    pub(crate) fn mean_at(
        &self,
        address: u64,
        n: usize,
        after: CudaEvent,
    ) -> Result<[CudaEvent; 2]> {
        let Some(worker) = &self.worker else {
            let error = candle_core::Error::msg("one rank takes no mean");
            return Err(error.into());
        };
        let done = worker.give(move |communicator| {
            let done = communicator.mean_at(address, n, &after)?;
            Ok([after, done])
        });
        done.wait()
    }

    /// Gives the variables rank 0's values.
    ///
    /// # Errors
    ///
    /// What candle returns; f32 and f64 are carried.
    pub fn broadcast(&self, vars: &[Var]) -> Result<()> {
        let Some(worker) = &self.worker else {
            return Ok(());
        };
        let tensors = vars.iter().map(|var| var.as_detached_tensor()).collect();
        let values: Pending<Vec<Tensor>> = worker.give(move |communicator| {
            let mut all = Vec::new();
            for run in runs(tensors) {
                let values = communicator.broadcast(&flatten(&run)?)?;
                all.extend(unflatten(&values, &run)?);
            }
            Ok(all)
        });
        for (var, value) in vars.iter().zip(values.wait()?) {
            var.set(&value)?;
        }
        Ok(())
    }

    /// Where the run can be taken up again, for a rank that has to end. Waits until all ranks are as far.
    pub(crate) fn checkpoint_written(&self, path: &Path, epoch: usize) -> Result<()> {
        self.barrier()?;
        end::checkpoint(path, epoch);
        Ok(())
    }

    /// What this rank's error is to all of them.
    pub(crate) fn failed(&self, error: Error) -> Error {
        match self.worker {
            Some(_) => end::error(self.launch, error),
            None => error,
        }
    }
}

/// What [`ProcessGroup::mean_beside`] has started.
pub(super) enum Mean {
    Alone(Vec<Tensor>),
    Pending(Pending<Vec<Tensor>>),
}

impl Mean {
    pub(super) fn wait(self) -> Result<Vec<Tensor>> {
        match self {
            Self::Alone(tensors) => Ok(tensors),
            Self::Pending(pending) => pending.wait(),
        }
    }
}

impl fmt::Display for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.world_size())
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessGroup({self}, backend={})", self.backend)
    }
}
