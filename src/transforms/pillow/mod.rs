//! What Pillow's C code and torchvision's functions on PIL images do, pixel for pixel.
//!
//! The arithmetic is Pillow's, down to its fixed points and its roundings: another order of the same
//! sums gives other grays.

pub(super) mod affine;
pub(super) mod border;
pub(super) mod filters;
pub(super) mod resample;
pub(super) mod rotate;
