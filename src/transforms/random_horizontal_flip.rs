use std::fmt;

use super::pixel::{Image, ImagePixel};
use super::{Transform, probability, repr};
use crate::Result;
use crate::random::with_global;

const NAME: &str = "RandomHorizontalFlip";

/// The image mirrored left to right, with probability `p`. Equivalent of
/// `torchvision.transforms.RandomHorizontalFlip`.
///
/// `y[i, j] = x[i, W − 1 − j]` where a number from the global generator
/// ([`manual_seed`](crate::random::manual_seed)) is below `p`, else `y = x`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `p` | 0.5 (`RandomHorizontalFlip::default()`) | how likely the image is mirrored | 0 to 1 |
///
/// # Shape
///
/// H × W, gray or RGB; the output's is the input's.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `p` is not from 0 to 1.
///
/// # Differences from PyTorch
///
/// A `p` that is no probability is refused; torchvision takes it for 0 or 1.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let flip = RandomHorizontalFlip::new(1.0)?;
/// let image = GrayImage::from_raw(3, 1, vec![1, 2, 3]).unwrap();
/// assert_eq!(flip.apply(&image)?.into_raw(), [3, 2, 1]);
/// assert_eq!(RandomHorizontalFlip::default().to_string(), "RandomHorizontalFlip(p=0.5)");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomHorizontalFlip {
    p: f64,
}

impl RandomHorizontalFlip {
    /// A flip with probability `p`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `p` is not from 0 to 1.
    pub fn new(p: f64) -> Result<Self> {
        probability(NAME, p)?;
        Ok(Self { p })
    }
}

impl Default for RandomHorizontalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl<P: ImagePixel> Transform<Image<P>> for RandomHorizontalFlip {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        Ok(match with_global(|generator| generator.happens(self.p)) {
            true => image::imageops::flip_horizontal(image),
            false => image.clone(),
        })
    }
}

impl fmt::Display for RandomHorizontalFlip {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomHorizontalFlip(p={})", repr::float(self.p))
    }
}
