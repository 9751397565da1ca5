//! Losses: how far the logits are from the truth, as one number to make small.

mod cross_entropy;
mod reduction;

pub use cross_entropy::{CrossEntropyLoss, CrossEntropyLossBuilder};
pub use reduction::Reduction;
