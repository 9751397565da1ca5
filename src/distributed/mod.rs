//! Training by several processes at once, each with its share of the images: data-parallel, as PyTorch's
//! `torch.distributed` and `DistributedDataParallel` do it.
//!
//! Every process, a *rank*, has the whole net. In a step each works on a batch of its own; the gradients are
//! averaged over all ranks, so that every rank takes the same step. A launcher starts the ranks and tells each its
//! number: `mpirun`, `torchrun` or Slurm's `srun`; see [`Launch`].
//!
//! | looking for | is in |
//! |---|---|
//! | joining the other ranks, and taking leave | [`init_process_group`], [`destroy_process_group`] |
//! | each rank's share of a data set | [`DistributedSampler`] |
//! | gradients averaged while the backward pass goes on | [`TrainerBuilder::process_group`](crate::train::TrainerBuilder::process_group) |
//!
//! # Example
//!
//! The same program alone and under `mpirun -n 2`: without a launcher there is one rank.
//!
//! ```
//! use candlelight::distributed::{
//!     Backend, DistributedSampler, destroy_process_group, init_process_group,
//! };
//! use candlelight::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let group = init_process_group(Backend::Mpi)?;
//! let test = Mnist::builder("data").train(false).build()?;
//! let few = Subset::new(test, (0..640).collect())?;
//! let sampler = DistributedSampler::builder(few.len(), &group).build()?;
//! let loader = DataLoader::builder(few).batch_size(64).sampler(sampler).build()?;
//!
//! manual_seed(0);
//! let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
//! let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
//! let mut trainer = Trainer::builder(net, CrossEntropyLoss::builder().build()?, sgd)
//!     .process_group(&group)
//!     .build()?;
//! let history = trainer.fit(&loader, None)?;
//! assert_eq!(history.steps.len(), 10 / group.world_size());
//! destroy_process_group(&group)?;
//! # Ok(())
//! # }
//! ```

mod backend;
mod communicator;
mod end;
mod group;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod reducer;
#[cfg(any(feature = "nccl", test))]
mod rendezvous;
mod sampler;

pub use backend::Backend;
pub use group::{ProcessGroup, destroy_process_group, init_process_group};
pub use launch::Launch;
pub(crate) use reducer::Reducer;
#[cfg(any(feature = "cuda", test))]
pub(crate) use reducer::buckets;
pub use sampler::{DistributedSampler, DistributedSamplerBuilder};
