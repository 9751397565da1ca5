//! The kernels under the layers, forward and backward.
//!
//! Each result is the same to the last digit on any number of threads: work is cut so that no sum's order
//! depends on the threads, and sums over pieces are taken in the pieces' order.

// Without vectors (wasm) there is no `Level`: what takes one is never reached, and im2col does the work.
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(
        dead_code,
        unused_unsafe,
        unused_variables,
        unreachable_code,
        unreachable_patterns
    )
)]

pub(crate) mod adagrad;
pub(crate) mod adam;
mod aligned;
#[cfg(any(feature = "cuda", test))]
mod architecture;
pub(crate) mod backward;
pub(crate) mod buffer;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod captured;
mod cascade;
pub(crate) mod conv2d;
pub(crate) mod cross_entropy;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod direct;
mod exp_log;
mod gemm;
mod im2col;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod kept;
pub(crate) mod linear;
pub(crate) mod max_pool2d;
mod memory;
mod narrow;
pub(crate) mod pad2d;
mod product;
#[cfg(test)]
#[path = "../../tests/cuda_emulated/program.rs"]
mod program;
pub(crate) mod relu;
pub(crate) mod rms_prop;
pub(crate) mod sgd;
mod simd;
mod sparse;
pub(crate) mod stack;
pub(crate) mod update;
