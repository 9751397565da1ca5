//! Transforms of images: cut, turned, resized, to a tensor, normalised, one after another.
//!
//! They give what torchvision gives on PIL's images, pixel for pixel, and from the same seed the same
//! random ones: what they draw comes from the global generator
//! ([`manual_seed`](crate::random::manual_seed)).
//!
//! | PyTorch | here |
//! |---|---|
//! | `transforms.Compose([a, b])` | [`compose!`](crate::compose) |
//! | `transforms.ToTensor()` | [`ToTensor`] |
//! | `transforms.Normalize(mean, std)` | [`Normalize`] |
//! | `transforms.CenterCrop(24)` | [`CenterCrop::new(24)?`](CenterCrop) |
//! | `transforms.Pad(2, padding_mode="reflect")` | [`Pad::builder(2).padding_mode(PadMode::Reflect).build()?`](Pad) |
//! | `transforms.Resize(14)` | [`Resize::builder(14).build()?`](Resize) |
//! | `transforms.RandomCrop(28, padding=2)` | [`RandomCrop::builder(28).padding(2).build()?`](RandomCrop) |
//! | `transforms.RandomHorizontalFlip(0.5)` | [`RandomHorizontalFlip::new(0.5)?`](RandomHorizontalFlip) |
//! | `transforms.RandomRotation(10, fill=0)` | [`RandomRotation::builder(10).fill(0).build()?`](RandomRotation) |
//! | `transforms.RandomAffine(10, scale=(0.9, 1.1))` | [`RandomAffine::builder(10).scale((0.9, 1.1)).build()?`](RandomAffine) |
//! | `transforms.RandomErasing(p=0.5)` | [`RandomErasing::builder().p(0.5).build()?`](RandomErasing), on tensors |
//! | `transforms.Lambda(f)` | [`Lambda::new(f)`](Lambda) |
//! | `transforms.InterpolationMode.BILINEAR` | [`InterpolationMode::Bilinear`] |

mod angles;
mod center_crop;
mod compose;
mod fill;
mod interpolation;
mod lambda;
mod normalize;
mod pad;
mod padding;
mod pillow;
mod pixel;
mod random_affine;
mod random_crop;
mod random_erasing;
mod random_horizontal_flip;
mod random_rotation;
mod repr;
mod resize;
mod to_tensor;

pub use angles::{Degrees, Shear};
pub use center_crop::CenterCrop;
pub use compose::Compose;
pub use fill::Fill;
pub use interpolation::InterpolationMode;
pub use lambda::Lambda;
pub use normalize::Normalize;
pub use pad::{Pad, PadBuilder};
pub use padding::{PadMode, Padding4};
pub use pixel::ImagePixel;
pub use random_affine::{RandomAffine, RandomAffineBuilder};
pub use random_crop::{RandomCrop, RandomCropBuilder};
pub use random_erasing::{ErasingValue, RandomErasing, RandomErasingBuilder};
pub use random_horizontal_flip::RandomHorizontalFlip;
pub use random_rotation::{RandomRotation, RandomRotationBuilder};
pub use resize::{Resize, ResizeBuilder, ResizeSize};
pub use to_tensor::ToTensor;

use angles::check_range;
use candle_core::Tensor;

use crate::Result;
use crate::error::invalid;

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

/// Refuses what is no probability.
fn probability(transform: &'static str, p: f64) -> Result<()> {
    match (0.0..=1.0).contains(&p) {
        true => Ok(()),
        false => invalid(
            transform,
            "p",
            repr::float(p),
            "must be a probability, from 0 to 1",
        ),
    }
}

/// Refuses a centre that is nowhere.
fn check_center(transform: &'static str, center: Option<(f64, f64)>) -> Result<()> {
    match center {
        Some((x, y)) if !x.is_finite() || !y.is_finite() => {
            let problem = "must be finite; leave it out for the image's centre";
            invalid(transform, "center", repr::pair((x, y)), problem)
        }
        _ => Ok(()),
    }
}

/// Writes `output` over `input`, which then is the output.
fn inplace(transform: &'static str, input: &Tensor, output: &Tensor) -> Result<Tensor> {
    if !input.is_contiguous() {
        let problem = "needs a contiguous tensor; call contiguous, or leave it out";
        return invalid(transform, "inplace", "true", problem);
    }
    input.slice_set(&output.contiguous()?, 0, 0)?;
    Ok(input.clone())
}
