//! How a rank ends when it fails, or when another one did: with a line that says so, and from where to go on.
//!
//! A launcher that sees a rank end badly ends the others, by SIGTERM first. What they would say by themselves is
//! nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Launch;
use crate::Error;

static CHECKPOINT: Mutex<Option<(PathBuf, usize)>> = Mutex::new(None);

/// Where the run can be taken up again.
pub(super) fn checkpoint(path: &Path, epoch: usize) {
    let mut last = CHECKPOINT.lock().unwrap_or_else(PoisonError::into_inner);
    *last = Some((path.into(), epoch));
}

fn cure() -> String {
    let last = CHECKPOINT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some((path, epoch)) => {
            let path = path.display();
            format!("start all ranks again and resume from {path}, which holds epoch {epoch}")
        }
        None => "start all ranks again; there is no checkpoint yet".into(),
    }
}

/// An error of this rank, which ends the others, too.
pub(super) fn error(launch: Launch, source: Error) -> Error {
    Error::RankFailed {
        rank: launch.rank,
        world_size: launch.world_size,
        source: Box::new(source),
        cure: cure(),
    }
}

/// Says why this rank ends when it is told to.
#[cfg(any(feature = "mpi", feature = "nccl"))]
pub(super) fn watch(launch: Launch) {
    use signal_hook::consts::SIGTERM;

    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTERM]) else {
        // Then it ends without the line.
        return;
    };
    let wait = move || {
        if signals.forever().next().is_some() {
            let Launch {
                rank, world_size, ..
            } = launch;
            eprintln!(
                "rank {rank} of {world_size} was told to end, as the launcher does when another rank has died; {}",
                cure()
            );
            signal_hook::low_level::emulate_default_handler(SIGTERM).ok();
        }
    };
    std::thread::Builder::new()
        .name("rank's end".into())
        .spawn(wait)
        .ok();
}
