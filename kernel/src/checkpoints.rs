//! The checkpoints that a process wrote, from which a training can go on when that process is gone.

use std::path::{Path, PathBuf};
use std::time::Instant;

/// So many are named at most.
const MOST: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub struct Checkpoints(Vec<Checkpoint>);

#[derive(Debug)]
struct Checkpoint {
    path: PathBuf,
    epoch: usize,
    written: Instant,
}

impl Checkpoints {
    /// One was written, the whole path given.
    pub fn note(&mut self, path: String, epoch: usize) {
        let path = PathBuf::from(path);
        self.0.retain(|other| other.path != path);
        self.0.push(Checkpoint {
            path,
            epoch,
            written: Instant::now(),
        });
    }

    /// A line for each that is still there, the last first; cells run in the folder `home`.
    pub fn lines(&self, home: &Path) -> Vec<String> {
        let there = self.0.iter().rev().filter(|one| one.path.is_file());
        there.take(MOST).map(|one| one.line(home)).collect()
    }
}

impl Checkpoint {
    fn line(&self, home: &Path) -> String {
        let path = self.path.strip_prefix(home).unwrap_or(&self.path);
        let epochs = match self.epoch {
            1 => "1 epoch".to_owned(),
            epochs => format!("{epochs} epochs"),
        };
        let ago = self.written.elapsed().as_secs();
        format!(
            "A checkpoint of {ago} s ago is there, after {epochs}: `trainer.resume({path:?})?` before `fit` goes on from it."
        )
    }
}
