//! The convolution with stride 1 in f32, straight from the image, without writing its windows out.
//!
//! An image is copied once with its padding. Seen as one long row, an output pixel p of that row
//! reads the pixels p + offset, one fixed offset for each tap. So sixteen neighbouring outputs take
//! one vector from memory for each tap, at any width of the image. The outputs that straddle two
//! rows are computed too, and dropped.
//!
//! The gradient of the input is the same sum over the outputs' gradients, with the offsets
//! backwards. That of the weights is a sum over pixels, for which the outputs' gradients are turned so
//! that a pixel's channels lie side by side.

mod columns;
mod layout;
mod run;
mod sums;
mod turn;
mod weight_gradient;
mod weights;

pub(super) use columns::Columns;
pub(super) use run::{backward, forward};
pub(super) use turn::transposed;
