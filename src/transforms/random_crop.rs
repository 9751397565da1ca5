use std::fmt;

use super::pillow::border;
use super::pixel::{Image, ImagePixel, checked_size, not_empty};
use super::{Fill, PadMode, Padding4, Transform};
use crate::Result;
use crate::error::invalid;
use crate::random::with_global;
use crate::size::Size2;

const NAME: &str = "RandomCrop";

/// A part of the image at a random place. Equivalent of `torchvision.transforms.RandomCrop`.
///
/// The image is padded, then `y = x[i .. i + h, j .. j + w]` with i from 0 to H − h and j from 0 to
/// W − w, all equally likely, from the global generator ([`manual_seed`](crate::random::manual_seed)).
/// Where the image has the size already nothing is drawn.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `size` | required | rows and columns of the part | an int or a pair, ≥ 1 |
/// | `padding` | none | put around the image first | an int, a pair or four, see [`Padding4`] |
/// | `pad_if_needed` | false | whether an image that is too small is padded, on both sides by what it lacks | |
/// | `fill` | 0 | the padding's value where `padding_mode` is constant | one number, or one for each channel |
/// | `padding_mode` | constant | what the padding shows | [`PadMode`] |
///
/// # Shape
///
/// H × W to the size, gray or RGB.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter), when built, where [`Pad`](super::Pad) would
/// refuse the padding, or where the padded image is smaller than `size`; [`Error::WrongShape`](crate::Error::WrongShape) for an image without pixels.
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
/// let crop = RandomCrop::builder(28).padding(2).build()?;
/// manual_seed(0);
/// assert_eq!(crop.apply(&GrayImage::new(28, 28))?.dimensions(), (28, 28));
/// assert_eq!(crop.to_string(), "RandomCrop(size=(28, 28), padding=2)");
///
/// let error = RandomCrop::builder(30).build()?.apply(&GrayImage::new(28, 28)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "RandomCrop: size=(30, 30) is larger than the image, (28, 28); use a smaller size, padding, or pad_if_needed"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomCrop {
    size: Size2,
    padding: Option<Padding4>,
    pad_if_needed: bool,
    fill: Fill,
    padding_mode: PadMode,
}

/// The parameters of a [`RandomCrop`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let crop = RandomCrop::builder((20, 30)).pad_if_needed(true).padding_mode(PadMode::Edge).build()?;
/// assert_eq!(crop.apply(&GrayImage::new(28, 28))?.dimensions(), (30, 20));
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomCropBuilder(RandomCrop);

impl RandomCropBuilder {
    /// What is put around the image first; nothing unless set.
    pub fn padding(mut self, padding: impl Into<Padding4>) -> Self {
        self.0.padding = Some(padding.into());
        self
    }

    /// Whether an image that is too small is padded; false unless set.
    pub fn pad_if_needed(mut self, pad_if_needed: bool) -> Self {
        self.0.pad_if_needed = pad_if_needed;
        self
    }

    /// The padding's value where `padding_mode` is constant; 0 unless set.
    pub fn fill(mut self, fill: impl Into<Fill>) -> Self {
        self.0.fill = fill.into();
        self
    }

    /// What the padding shows; `fill` unless set.
    pub fn padding_mode(mut self, padding_mode: PadMode) -> Self {
        self.0.padding_mode = padding_mode;
        self
    }

    /// The transform.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `size` has a 0 or `fill` is
    /// not finite.
    pub fn build(self) -> Result<RandomCrop> {
        if self.0.size.has_zero() {
            return invalid(NAME, "size", self.0.size, "must be at least 1");
        }
        self.0.fill.check(NAME, "fill")?;
        Ok(self.0)
    }
}

impl RandomCrop {
    /// The parameters of a crop; the others are set on what it returns.
    pub fn builder(size: impl Into<Size2>) -> RandomCropBuilder {
        RandomCropBuilder(Self {
            size: size.into(),
            padding: None,
            pad_if_needed: false,
            fill: Fill::from(0),
            padding_mode: PadMode::Constant,
        })
    }

    fn padded<P: ImagePixel>(&self, image: &Image<P>, padding: Padding4) -> Result<Image<P>> {
        border::pad(NAME, image, padding, &self.fill, self.padding_mode)
    }
}

impl<P: ImagePixel> Transform<Image<P>> for RandomCrop {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        not_empty(NAME, image)?;
        let mut image = match self.padding {
            Some(padding) => self.padded(image, padding)?,
            None => image.clone(),
        };
        // What is lacking is put on both sides: the crop then has twice the room that it needs.
        let lacks = |size: usize, length: u32| size.saturating_sub(length as usize);
        let (height, width) = (self.size.h, self.size.w);
        let lacking = (lacks(width, image.width()), lacks(height, image.height()));
        if self.pad_if_needed {
            let padded = |lacking: usize, length: u32| {
                let both = i64::try_from(lacking).unwrap_or(i64::MAX).saturating_mul(2);
                both.saturating_add(i64::from(length))
            };
            let size = (
                padded(lacking.0, image.width()),
                padded(lacking.1, image.height()),
            );
            checked_size(NAME, "size", self.size, size)?;
        }
        if self.pad_if_needed && lacking.0 > 0 {
            image = self.padded(&image, Padding4::from((lacking.0, 0)))?;
        }
        if self.pad_if_needed && lacking.1 > 0 {
            image = self.padded(&image, Padding4::from((0, lacking.1)))?;
        }
        let (rows, columns) = (image.height() as usize, image.width() as usize);
        if rows < height || columns < width {
            let problem = format!(
                "is larger than the image, ({rows}, {columns}); use a smaller size, padding, or pad_if_needed"
            );
            return invalid(NAME, "size", self.size, problem);
        }
        if (rows, columns) == (height, width) {
            return Ok(image);
        }
        let (top, left) = with_global(|generator| {
            let mut place = |room: usize| generator.below(room as u64 + 1) as u32;
            (place(rows - height), place(columns - width))
        });
        Ok(border::crop(
            &image,
            (top, left),
            (height as u32, width as u32),
        ))
    }
}

impl fmt::Display for RandomCrop {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomCrop(size={}, padding=", self.size)?;
        match self.padding {
            Some(padding) => write!(f, "{padding})"),
            None => f.write_str("None)"),
        }
    }
}
