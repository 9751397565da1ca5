//! The ranks of an MPI program.

use candle_core::{DType, Device, Tensor, bail};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Root as _};

use super::Launch;
use super::communicator::Communicator;
use crate::Result;
use crate::error::invalid;

pub(super) struct Mpi {
    universe: Universe,
}

impl Mpi {
    /// Called on the thread that makes all later calls, too.
    pub(super) fn start(launch: Launch) -> Result<Self> {
        let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
            let problem = "is started already; keep the first process group, and clone it";
            return invalid("init_process_group", "backend", "mpi", problem);
        };
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        match (rank, size) == (launch.rank, launch.world_size) {
            true => Ok(Self { universe }),
            false => {
                let problem = format!(
                    "is rank {rank} of {size} to MPI; start the program with mpirun -n {}",
                    launch.world_size
                );
                let told = format!("{} of {}", launch.rank, launch.world_size);
                invalid("init_process_group", "rank", told, problem)
            }
        }
    }
}

impl Communicator for Mpi {
    fn mean(&mut self, flat: &Tensor) -> candle_core::Result<Tensor> {
        let world = self.universe.world();
        let n = flat.elem_count();
        let ranks = world.size();
        macro_rules! mean {
            ($T:ty) => {{
                let own = flat.to_vec1::<$T>()?;
                let mut sum = vec![0 as $T; n];
                world.all_reduce_into(&own[..], &mut sum[..], SystemOperation::sum());
                for value in &mut sum {
                    *value /= ranks as $T;
                }
                Tensor::from_vec(sum, n, &Device::Cpu)
            }};
        }
        match flat.dtype() {
            DType::F32 => mean!(f32),
            DType::F64 => mean!(f64),
            other => bail!("mpi: carries f32 and f64, not {other:?}; convert it with to_dtype"),
        }
    }

    fn broadcast(&mut self, flat: &Tensor) -> candle_core::Result<Tensor> {
        let world = self.universe.world();
        let root = world.process_at_rank(0);
        let n = flat.elem_count();
        macro_rules! broadcast {
            ($T:ty) => {{
                let mut values = flat.to_vec1::<$T>()?;
                root.broadcast_into(&mut values[..]);
                Tensor::from_vec(values, n, &Device::Cpu)
            }};
        }
        match flat.dtype() {
            DType::F32 => broadcast!(f32),
            DType::F64 => broadcast!(f64),
            other => bail!("mpi: carries f32 and f64, not {other:?}; convert it with to_dtype"),
        }
    }
}
