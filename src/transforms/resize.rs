use std::fmt;

use super::pillow::resample;
use super::pixel::{Image, ImagePixel, checked_size, not_empty};
use super::{InterpolationMode, Transform};
use crate::Result;
use crate::error::invalid;
use crate::size::Size2;

const NAME: &str = "Resize";

/// The image at another size. Equivalent of `torchvision.transforms.Resize`.
///
/// Each new pixel is a weighted mean of the old ones around its place, along each axis. Where the image
/// shrinks the weights reach as much farther, which keeps lines from breaking up (antialiasing). The
/// weights are those of `interpolation`; `Nearest` takes one pixel.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `size` | required | an int: the smaller edge, the other in proportion, rounded down; a pair: rows and columns | ≥ 1 |
/// | `interpolation` | bilinear | the weights | [`InterpolationMode`] |
/// | `max_size` | none | the most that the longer edge may have; the smaller edge then gives way | > `size`, which must be an int |
/// | `antialias` | true | whether the weights reach farther where the image shrinks | true |
///
/// # Shape
///
/// H × W to the size, gray or RGB.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter), when built or where an image would
/// lose its last row or column or have more than 178,956,970 pixels; [`Error::WrongShape`](crate::Error::WrongShape) for an image without
/// pixels.
///
/// # Differences from PyTorch
///
/// `antialias=false` is refused: PIL has no such resize, and torchvision warns and does as with
/// `true`. The grays are those of Pillow 13, which resizes the rows before the columns where many more
/// of them go; an older Pillow differs there by one gray here and there.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let resize = Resize::builder(14).build()?;
/// assert_eq!(resize.apply(&GrayImage::new(28, 42))?.dimensions(), (14, 21));
/// let row = GrayImage::from_raw(4, 1, vec![0, 100, 200, 100]).unwrap();
/// let half = Resize::builder((1, 2)).interpolation(InterpolationMode::Box).build()?;
/// assert_eq!(half.apply(&row)?.into_raw(), [50, 150]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    size: ResizeSize,
    interpolation: InterpolationMode,
    max_size: Option<usize>,
    antialias: bool,
}

/// A size to [`Resize`] to.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
/// use candlelight::transforms::ResizeSize;
///
/// assert_eq!(ResizeSize::from(14), ResizeSize::SmallerEdge(14));
/// assert_eq!(ResizeSize::from((14, 20)), ResizeSize::Exact(Size2 { h: 14, w: 20 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResizeSize {
    /// The smaller edge has this length, the other is in proportion.
    SmallerEdge(usize),
    /// So many rows and columns.
    Exact(Size2),
}

impl From<usize> for ResizeSize {
    fn from(edge: usize) -> Self {
        Self::SmallerEdge(edge)
    }
}

impl From<(usize, usize)> for ResizeSize {
    fn from(size: (usize, usize)) -> Self {
        Self::Exact(size.into())
    }
}

impl From<Size2> for ResizeSize {
    fn from(size: Size2) -> Self {
        Self::Exact(size)
    }
}

impl fmt::Display for ResizeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmallerEdge(edge) => edge.fmt(f),
            Self::Exact(size) => size.fmt(f),
        }
    }
}

/// The parameters of a [`Resize`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let resize = Resize::builder(20).max_size(30).interpolation(InterpolationMode::Bicubic).build()?;
/// assert_eq!(resize.apply(&GrayImage::new(28, 56))?.dimensions(), (15, 30));
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeBuilder(Resize);

impl ResizeBuilder {
    /// The weights; bilinear unless set.
    pub fn interpolation(mut self, interpolation: InterpolationMode) -> Self {
        self.0.interpolation = interpolation;
        self
    }

    /// The most that the longer edge may have; no limit unless set.
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.0.max_size = Some(max_size);
        self
    }

    /// Whether the weights reach farther where the image shrinks; true unless set, and only true.
    pub fn antialias(mut self, antialias: bool) -> Self {
        self.0.antialias = antialias;
        self
    }

    /// The transform.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `size` is 0, where `max_size`
    /// is not larger than it or goes with a pair, and where `antialias` is false.
    pub fn build(self) -> Result<Resize> {
        let Resize {
            size,
            max_size,
            antialias,
            ..
        } = self.0;
        let zero = match size {
            ResizeSize::SmallerEdge(edge) => edge == 0,
            ResizeSize::Exact(size) => size.has_zero(),
        };
        if zero {
            return invalid(NAME, "size", size, "must be at least 1");
        }
        match (max_size, size) {
            (Some(max_size), ResizeSize::SmallerEdge(edge)) if max_size <= edge => {
                let problem = format!("must be larger than size, {edge}");
                return invalid(NAME, "max_size", max_size, problem);
            }
            (Some(max_size), ResizeSize::Exact(_)) => {
                let problem = "goes with a size that is an int, the smaller edge; leave it out";
                return invalid(NAME, "max_size", max_size, problem);
            }
            _ => {}
        }
        if !antialias {
            let problem = "is not possible: an image is always resized with it; leave it out";
            return invalid(NAME, "antialias", antialias, problem);
        }
        Ok(self.0)
    }
}

impl Resize {
    /// The parameters of a resize; the others are set on what it returns.
    pub fn builder(size: impl Into<ResizeSize>) -> ResizeBuilder {
        ResizeBuilder(Self {
            size: size.into(),
            interpolation: InterpolationMode::Bilinear,
            max_size: None,
            antialias: true,
        })
    }

    /// Columns and rows of the output for an image of `width` columns and `height` rows.
    fn output_size(&self, (width, height): (u32, u32)) -> (i64, i64) {
        let edge = match self.size {
            ResizeSize::Exact(size) => return (length(size.w), length(size.h)),
            ResizeSize::SmallerEdge(edge) => edge,
        };
        // Python's `int(a * b / c)`.
        let part = |a: f64, b: f64, c: f64| (a * b / c) as i64;
        let (short, long) = (width.min(height), width.max(height));
        let mut new = (
            length(edge),
            part(edge as f64, f64::from(long), f64::from(short)),
        );
        if let Some(max_size) = self.max_size
            && new.1 > length(max_size)
        {
            let short = part(max_size as f64, new.0 as f64, new.1 as f64);
            new = (short, length(max_size));
        }
        match width <= height {
            true => new,
            false => (new.1, new.0),
        }
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl<P: ImagePixel> Transform<Image<P>> for Resize {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        not_empty(NAME, image)?;
        let size = self.output_size(image.dimensions());
        let (width, height) = checked_size(NAME, "size", self.size, size)?;
        Ok(resample::resize(image, (height, width), self.interpolation))
    }
}

impl fmt::Display for Resize {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size,
            interpolation,
            ..
        } = self;
        write!(
            f,
            "Resize(size={size}, interpolation={interpolation}, max_size="
        )?;
        match self.max_size {
            Some(max_size) => write!(f, "{max_size}")?,
            None => f.write_str("None")?,
        }
        write!(f, ", antialias={})", super::repr::boolean(self.antialias))
    }
}
