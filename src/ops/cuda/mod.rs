//! The operations on NVIDIA's cards: CUDA C++ in `kernels/`, compiled for the card when it is first needed.

pub(crate) mod captured;
mod code;
pub(super) mod conv2d;
pub(super) mod cross_entropy;
pub(crate) mod fed;
mod launch;
pub(super) mod max_pool2d;
mod op;
pub(crate) mod pass;
#[cfg(test)]
mod times;
pub(super) mod update;

pub(crate) use launch::multiprocessors;
pub(super) use op::Given;
