use std::str::FromStr;

use crate::Result;
use crate::error::invalid;

const NAME: &str = "init_process_group";

/// Which of how many processes this one is, as a launcher says it in the environment.
///
/// | launcher | rank | how many | rank on this machine |
/// |---|---|---|---|
/// | `torchrun` | `RANK` | `WORLD_SIZE` | `LOCAL_RANK` |
/// | Open MPI's `mpirun` | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` | `OMPI_COMM_WORLD_LOCAL_RANK` |
/// | MPICH's and Intel's | `PMI_RANK` | `PMI_SIZE` | `MPI_LOCALRANKID` |
/// | Slurm's `srun` | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS`, else `SLURM_NTASKS` | `SLURM_LOCALID` |
///
/// The first of them whose rank is set is believed; how many there are must be set then, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Launch {
    /// This process's number, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub world_size: usize,
    /// Its number among those of the same machine, from 0: which GPU is its own.
    pub local_rank: usize,
}

/// A launcher's variables: rank, number (the first that is there), rank on the machine.
struct Names {
    rank: &'static str,
    world_size: &'static [&'static str],
    local_rank: &'static str,
}

const LAUNCHERS: [Names; 4] = [
    Names {
        rank: "RANK",
        world_size: &["WORLD_SIZE"],
        local_rank: "LOCAL_RANK",
    },
    Names {
        rank: "OMPI_COMM_WORLD_RANK",
        world_size: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
    },
    Names {
        rank: "PMI_RANK",
        world_size: &["PMI_SIZE"],
        local_rank: "MPI_LOCALRANKID",
    },
    Names {
        rank: "SLURM_PROCID",
        world_size: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: "SLURM_LOCALID",
    },
];

impl Launch {
    /// One process, started by no launcher.
    pub const ALONE: Self = Self {
        rank: 0,
        world_size: 1,
        local_rank: 0,
    };

    /// What the environment says; [`ALONE`](Self::ALONE) where it says nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter), which names the variable, where one is no
    /// number, where the rank is set and the number of ranks is not, or where the rank is not below that number.
    pub fn from_env() -> Result<Self> {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        for names in LAUNCHERS {
            let Some(rank) = variable(names.rank) else {
                continue;
            };
            let world_size = names.world_size.iter();
            let world_size = world_size
                .filter_map(|&name| Some((name, variable(name)?)))
                .next();
            let Some((size_name, world_size)) = world_size else {
                let missing = names.world_size[0];
                let problem = format!("is set, but {missing} is not; set both or neither");
                return invalid(NAME, names.rank, rank, problem);
            };
            let local_rank = match variable(names.local_rank) {
                Some(text) => number(names.local_rank, &text)?,
                None => 0,
            };
            let launch = Self {
                rank: number(names.rank, &rank)?,
                world_size: number(size_name, &world_size)?,
                local_rank,
            };
            return match launch.rank < launch.world_size {
                true => Ok(launch),
                false => {
                    let problem = format!(
                        "must be below {size_name}={world_size}; ranks are numbered from 0"
                    );
                    invalid(NAME, names.rank, rank, problem)
                }
            };
        }
        Ok(Self::ALONE)
    }

    /// This rank's card: that of its local number, or the only one that its launcher lets it see, as Slurm does for
    /// `--gpus-per-task=1`.
    pub(super) fn card(&self, visible: Option<&str>) -> String {
        match visible.map(|list| list.split(',').count()) {
            Some(1) => "cuda".to_string(),
            _ => format!("cuda:{}", self.local_rank),
        }
    }
}

fn number(name: &'static str, text: &str) -> Result<usize> {
    match usize::from_str(text) {
        Ok(number) => Ok(number),
        Err(_) => invalid(NAME, name, text, "must be a whole number of at least 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Launch> {
        Launch::from(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        })
    }

    fn launch(rank: usize, world_size: usize, local_rank: usize) -> Launch {
        Launch {
            rank,
            world_size,
            local_rank,
        }
    }

    #[test]
    fn each_launcher_is_understood() {
        assert_eq!(of(&[]).unwrap(), Launch::ALONE);
        let torchrun = [("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")];
        assert_eq!(of(&torchrun).unwrap(), launch(5, 8, 1));
        let mpirun = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
        ];
        assert_eq!(of(&mpirun).unwrap(), launch(1, 2, 1));
        let mpich = [("PMI_RANK", "3"), ("PMI_SIZE", "4")];
        assert_eq!(of(&mpich).unwrap(), launch(3, 4, 0));
        // A job of 8 tasks, of which this step has 2.
        let slurm = [
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_STEP_NUM_TASKS", "2"),
            ("SLURM_LOCALID", "0"),
        ];
        assert_eq!(of(&slurm).unwrap(), launch(1, 2, 0));
        assert_eq!(of(&[torchrun, mpirun].concat()).unwrap(), launch(5, 8, 1));
    }

    #[test]
    fn a_card_is_the_ranks_own() {
        let second = launch(1, 2, 1);
        assert_eq!(second.card(None), "cuda:1");
        assert_eq!(second.card(Some("3,1")), "cuda:1");
        assert_eq!(second.card(Some("3")), "cuda");
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let told = |variables: &[(&str, &str)]| of(variables).unwrap_err().to_string();
        assert_eq!(
            told(&[("RANK", "2"), ("WORLD_SIZE", "2")]),
            "init_process_group: RANK=2 must be below WORLD_SIZE=2; ranks are numbered from 0"
        );
        assert_eq!(
            told(&[("RANK", "0")]),
            "init_process_group: RANK=0 is set, but WORLD_SIZE is not; set both or neither"
        );
        assert_eq!(
            told(&[("PMI_RANK", "0"), ("PMI_SIZE", "two")]),
            "init_process_group: PMI_SIZE=two must be a whole number of at least 0"
        );
    }
}
