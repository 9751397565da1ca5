//! The convolution with stride 1 in f32, straight from the image, without writing its windows out.
//!
//! An image is copied once with its padding. Seen as one long row, an output pixel p of that row
//! reads the pixels p + offset, one fixed offset for each tap. So sixteen neighbouring outputs take
//! one vector from memory for each tap, at any width of the image. The outputs that straddle two
//! rows are computed too, and dropped.
//!
//! The gradient of the input is the same sum over the outputs' gradients, with the offsets
//! backwards; that of the weights is one dot product of two long rows for each tap. Gradients of the
//! outputs dropped are 0. (So where an input is infinite or NaN, more taps of the weights' gradient
//! become NaN than need to.)

mod dots;
mod layout;
mod run;
mod simd;
mod sums;

pub(super) use run::{backward, forward};
pub(super) use simd::Level;
