//! Transforms of images: to a tensor, normalised, one after another.
//!
//! | PyTorch | here |
//! |---|---|
//! | `transforms.ToTensor()` | [`ToTensor`] |
//! | `transforms.Normalize(mean, std)` | [`Normalize`] |
//! | `transforms.Compose([a, b])` | [`compose!`](crate::compose) |

mod compose;
mod normalize;
mod to_tensor;

pub use compose::Compose;
pub use normalize::Normalize;
pub use to_tensor::ToTensor;

use crate::Result;

/// Turns one image into something else: a tensor, another tensor, another image.
///
/// `Input` is what it takes, [`Output`](Transform::Output) what it gives, so that a chain in the
/// wrong order ([`Normalize`] before [`ToTensor`]) does not compile.
///
/// # Example
///
/// One of your own: black becomes white.
///
/// ```
/// use candlelight::prelude::*;
/// use image::{GrayImage, Luma};
///
/// struct Invert;
///
/// impl Transform<GrayImage> for Invert {
///     type Output = GrayImage;
///
///     fn apply(&self, image: &GrayImage) -> Result<GrayImage> {
///         let mut inverted = image.clone();
///         inverted.pixels_mut().for_each(|Luma([value])| *value = 255 - *value);
///         Ok(inverted)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let transform = compose![Invert, ToTensor];
/// let tensor = transform.apply(&GrayImage::new(28, 28))?;
/// assert_eq!(tensor.mean_all()?.to_scalar::<f32>()?, 1.0);
/// # Ok(())
/// # }
/// ```
pub trait Transform<Input>: Send + Sync {
    /// What it gives.
    type Output;

    /// Applies it to one image.
    fn apply(&self, input: &Input) -> Result<Self::Output>;

    /// Whether each value of the output depends on the one pixel at its place and on nothing
    /// else. For a chain of such transforms a data set computes the 256 possible values once, and
    /// then reads each pixel's from a table.
    fn is_pointwise(&self) -> bool {
        false
    }
}
