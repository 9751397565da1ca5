//! A whole training step as one list of kernels over memory that is laid out once: what a card captures as a graph and
//! repeats for every batch, without allocating, without asking the CPU.
//!
//! The plan is made and tested without a card: `tests.rs` runs its kernels on the processor.

mod layer;
mod memory;
mod plan;
#[cfg(test)]
mod tests;
mod tiles;

pub(crate) use layer::Layer;
pub(crate) use memory::{Memory, Place, Table, Word};
pub(crate) use plan::{Epoch, Launch, Plan, Settings};
