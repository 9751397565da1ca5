use crate::optim::schedule::Schedule;

/// How often a [`Trainer`](crate::train::Trainer) steps its schedule.
///
/// # Example
///
/// See [`TrainerBuilder::schedule`](crate::train::TrainerBuilder::schedule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Every {
    /// After each batch.
    Step,
    /// After each epoch.
    Epoch,
}

pub(super) struct Scheduled {
    pub(super) schedule: Box<dyn Schedule + Send>,
    pub(super) every: Every,
}
