use std::fmt;

use super::pillow::border;
use super::pixel::{Image, ImagePixel};
use super::{Fill, PadMode, Padding4, Transform};
use crate::Result;

const NAME: &str = "Pad";

/// Pixels around the image. Equivalent of `torchvision.transforms.Pad`.
///
/// `y[i, j] = x[i − top, j − left]` where that is inside the image, else what `padding_mode` says.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `padding` | required | how many on each side | an int, a pair (left and right, top and bottom) or four (left, top, right, bottom); negative takes away |
/// | `fill` | 0 | the value where `padding_mode` is constant | one number, or one for each channel |
/// | `padding_mode` | constant | what the padding shows | [`PadMode`] |
///
/// # Shape
///
/// H × W to (H + top + bottom) × (W + left + right), gray or RGB.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `fill` is not finite or has
/// another number of values than the image has channels, or where no pixel would be left;
/// [`Error::WrongShape`](crate::Error::WrongShape) for an image without pixels.
///
/// # Differences from PyTorch
///
/// A `padding` that takes the whole image away is refused; PIL makes an image without pixels. As on
/// PIL images, and other than on tensors, a reflection may be longer than the image.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let pad = Pad::builder((1, 0)).fill(9).build()?;
/// let image = GrayImage::from_raw(2, 1, vec![1, 2]).unwrap();
/// assert_eq!(pad.apply(&image)?.into_raw(), [9, 1, 2, 9]);
/// assert_eq!(pad.to_string(), "Pad(padding=(1, 0), fill=9, padding_mode=constant)");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    padding: Padding4,
    fill: Fill,
    padding_mode: PadMode,
}

/// The parameters of a [`Pad`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let pad = Pad::builder(2).padding_mode(PadMode::Symmetric).build()?;
/// assert_eq!(pad.apply(&GrayImage::new(28, 28))?.dimensions(), (32, 32));
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PadBuilder(Pad);

impl PadBuilder {
    /// The value where `padding_mode` is constant; 0 unless set.
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
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `fill` is not finite.
    pub fn build(self) -> Result<Pad> {
        self.0.fill.check(NAME, "fill")?;
        Ok(self.0)
    }
}

impl Pad {
    /// The parameters of a padding; the others are set on what it returns.
    pub fn builder(padding: impl Into<Padding4>) -> PadBuilder {
        PadBuilder(Self {
            padding: padding.into(),
            fill: Fill::from(0),
            padding_mode: PadMode::Constant,
        })
    }
}

impl<P: ImagePixel> Transform<Image<P>> for Pad {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        border::pad(NAME, image, self.padding, &self.fill, self.padding_mode)
    }
}

impl fmt::Display for Pad {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            padding,
            fill,
            padding_mode,
        } = self;
        write!(
            f,
            "Pad(padding={padding}, fill={fill}, padding_mode={padding_mode})"
        )
    }
}
