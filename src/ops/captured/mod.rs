//! A whole training step as one list of kernels over memory that is laid out once: what a card captures as a graph and
//! repeats for every batch, without allocating, without asking the CPU.
//!
//! The plan is made and tested without a card: `tests.rs` runs its kernels on the processor.

mod ends;
mod layer;
mod means;
mod memory;
mod plan;
mod planner;
mod products;
#[cfg(test)]
pub(crate) mod tests;
mod tiles;

pub(crate) use layer::Layer;
#[cfg(feature = "cuda")]
pub(crate) use means::Mean;
pub(crate) use memory::Memory;
#[cfg(feature = "cuda")]
pub(crate) use memory::Place;
#[cfg(test)]
pub(crate) use memory::Word;
#[cfg(feature = "cuda")]
pub(crate) use plan::{Kernel, Launch, RING};
pub(crate) use plan::{Plan, Settings};
#[cfg(any(feature = "cuda", test))]
pub(crate) use tiles::SIZES;
#[cfg(feature = "cuda")]
pub(crate) use tiles::{Cut, STRIP, THREADS};

pub(crate) use crate::train::Precision;

/// What the plans' kernels are made of.
pub(crate) const KERNELS: &str = concat!(
    include_str!("../cuda/kernels/common.cuh"),
    include_str!("../cuda/kernels/cross_entropy.cuh"),
    include_str!("../cuda/kernels/optimizers.cuh"),
    include_str!("../cuda/kernels/tensor_core.cuh"),
    include_str!("../cuda/kernels/tile.cuh"),
    include_str!("../cuda/kernels/step/layers.cuh"),
    include_str!("../cuda/kernels/step/batch.cuh"),
);
