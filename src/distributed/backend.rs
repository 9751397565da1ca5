use std::fmt;
use std::str::FromStr;

use crate::error::invalid;
use crate::{Error, Result};

/// What carries the gradients from rank to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// MPI, for nets on the CPU; in builds with the feature `mpi`.
    Mpi,
    /// NCCL, for nets on NVIDIA's cards, each rank on the one of its number on its machine; in builds with the feature
    /// `nccl`. The ranks find each other by `MASTER_ADDR` and `MASTER_PORT`.
    Nccl,
}

impl Backend {
    /// PyTorch's name of it, which is also that of the feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpi => "mpi",
            Self::Nccl => "nccl",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `mpi` or `nccl`.
impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mpi" => Ok(Self::Mpi),
            "nccl" => Ok(Self::Nccl),
            _ => invalid(
                "init_process_group",
                "backend",
                text,
                "is not known; use mpi or nccl",
            ),
        }
    }
}
