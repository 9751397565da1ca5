use crate::Result;
use crate::error::invalid;
use crate::state::{Reader, StateDict};

/// Where a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Course {
    pub(super) last_epoch: usize,
    pub(super) lr: f64,
}

impl Course {
    pub(super) fn new(lr: f64) -> Self {
        Self { last_epoch: 0, lr }
    }

    /// On to the next epoch and its learning rate.
    pub(super) fn go(&mut self, next: impl FnOnce(usize, f64) -> f64) {
        self.last_epoch = self.last_epoch.saturating_add(1);
        self.lr = next(self.last_epoch, self.lr);
    }

    pub(super) fn state_dict(&self, parameters: &[(&str, f64)]) -> Result<StateDict> {
        let mut state = StateDict::new();
        state.insert_number("last_epoch", self.last_epoch as f64)?;
        state.insert_number("last_lr", self.lr)?;
        for (name, value) in parameters {
            state.insert_number(*name, *value)?;
        }
        Ok(state)
    }

    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        Ok(Self {
            last_epoch: reader.count("last_epoch")? as usize,
            lr: reader.number("last_lr")?,
        })
    }
}

pub(super) const CURE: &str = "load what a schedule of the same kind has saved";

pub(super) fn finite<const N: usize>(
    layer: &'static str,
    parameters: [(&'static str, f64); N],
) -> Result<()> {
    for (name, value) in parameters {
        if !value.is_finite() {
            return invalid(layer, name, value, "must be a number");
        }
    }
    Ok(())
}

/// The first learning rate; as the optimizers take it.
pub(super) fn rate(layer: &'static str, name: &'static str, value: f64) -> Result<()> {
    match value >= 0.0 && value.is_finite() {
        true => Ok(()),
        false => invalid(layer, name, value, "must be a number of at least 0"),
    }
}
