//! Which device a net is on: by name, or the best there is.

mod accelerator;
mod choice;
mod name;

pub use accelerator::Hardware;
pub use choice::{DeviceChoice, best_device};
pub(super) use name::name;
