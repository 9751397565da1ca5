use std::fmt;

use super::pillow::border;
use super::pixel::{Image, ImagePixel, checked_size, not_empty};
use super::{Fill, PadMode, Padding4, Transform};
use crate::Result;
use crate::error::invalid;
use crate::size::Size2;

const NAME: &str = "CenterCrop";

/// The middle of the image; where it is smaller than that, black around it. Equivalent of
/// `torchvision.transforms.CenterCrop`.
///
/// The part begins at row (H − h) / 2 and column (W − w) / 2, a half to the even number.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `size` | required | rows and columns of the part | an int or a pair, ≥ 1 |
///
/// # Shape
///
/// H × W to the size, gray or RGB.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a size of 0, or where the padded image
/// has more than 178,956,970 pixels; [`Error::WrongShape`](crate::Error::WrongShape) for an image without pixels.
///
/// # Differences from PyTorch
///
/// A `size` of 0 is refused.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let crop = CenterCrop::new(2)?;
/// let image = GrayImage::from_raw(4, 4, (0..16).collect()).unwrap();
/// assert_eq!(crop.apply(&image)?.into_raw(), [5, 6, 9, 10]);
/// assert_eq!(crop.to_string(), "CenterCrop(size=(2, 2))");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CenterCrop {
    size: Size2,
}

impl CenterCrop {
    /// A crop to `size`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `size` has a 0.
    pub fn new(size: impl Into<Size2>) -> Result<Self> {
        let size = size.into();
        match size.has_zero() {
            true => invalid(NAME, "size", size, "must be at least 1"),
            false => Ok(Self { size }),
        }
    }
}

impl<P: ImagePixel> Transform<Image<P>> for CenterCrop {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        not_empty(NAME, image)?;
        // Where it is padded, in the larger of the two sizes along each axis.
        let larger =
            |size: usize, length: u32| i64::try_from(size.max(length as usize)).unwrap_or(i64::MAX);
        let padded = (
            larger(self.size.w, image.width()),
            larger(self.size.h, image.height()),
        );
        checked_size(NAME, "size", self.size, padded)?;
        let lacks = |size: usize, length: u32| size.saturating_sub(length as usize);
        let (x, y) = (
            lacks(self.size.w, image.width()),
            lacks(self.size.h, image.height()),
        );
        let padding = Padding4::from((x / 2, y / 2, x.div_ceil(2), y.div_ceil(2)));
        let image = border::pad(NAME, image, padding, &Fill::from(0), PadMode::Constant)?;
        // A half goes to the even number, as Python rounds.
        let start = |length: u32, size: usize| {
            let room = (length as usize).saturating_sub(size);
            (room as f64 / 2.0).round_ties_even() as u32
        };
        let place = (
            start(image.height(), self.size.h),
            start(image.width(), self.size.w),
        );
        Ok(border::crop(
            &image,
            place,
            (self.size.h as u32, self.size.w as u32),
        ))
    }
}

impl fmt::Display for CenterCrop {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CenterCrop(size={})", self.size)
    }
}
