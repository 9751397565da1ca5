//! The gradients of a convolution whose outputs' gradients are mostly zeros, as after a max pooling, which
//! lets one gradient of its window through, and a ReLU, which stops those of what is off.
//!
//! The gradients that are not zero are listed, and only those are multiplied: the sums are those of
//! [`direct`](super::direct), in its order, without the products with zero. They are the same to the last bit
//! where all weights and inputs are finite; 0 · ∞, which is not a number, is not among them.

mod inputs;
mod list;
mod weights;

pub(super) use inputs::{Flows, Inputs};
pub(super) use list::{List, Plane};
pub(super) use weights::Windows;
