//! Training: the device, the trainer, its history and its metrics, checkpoints.

mod awake;
mod checkpoint;
mod confusion;
mod device;
mod evaluate;
mod evaluation;
mod history;
mod precision;
mod prefetch;
mod progress;
mod resident;
mod trainer;
#[cfg(feature = "cuda")]
mod upload;

pub use checkpoint::Checkpoint;
pub use confusion::Confusion;
pub use device::{DeviceChoice, Hardware, best_device};
pub use evaluate::evaluate;
pub use evaluation::{Evaluation, Mistake};
pub use history::{EpochRecord, History, StepRecord};
pub use precision::Precision;
pub use progress::Progress;
pub use trainer::{Every, Trainer, TrainerBuilder};
