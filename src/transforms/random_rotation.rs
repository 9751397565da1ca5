use std::fmt;

use super::pillow::rotate::rotate;
use super::pixel::{Image, ImagePixel, not_empty};
use super::{Degrees, Fill, InterpolationMode, Transform, check_center, repr};
use crate::Result;
use crate::random::with_global;

const NAME: &str = "RandomRotation";

/// The image turned by a random angle, counter-clockwise. Equivalent of
/// `torchvision.transforms.RandomRotation`.
///
/// The angle is uniform between the two of `degrees`, from the global generator
/// ([`manual_seed`](crate::random::manual_seed)). With the angle α and the centre c,
/// `y[p] = x[c + R(α)·(p − c)]`, where a place between pixels gets its value by `interpolation` and
/// one outside the image gets `fill`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `degrees` | required | the angles: d for −d to d, or a pair (min, max) | d ≥ 0; min ≤ max |
/// | `interpolation` | nearest | how a value between pixels is made | `Nearest`, `NearestExact`, `Bilinear`, `Bicubic` |
/// | `expand` | false | whether the output is large enough for the whole turned image | |
/// | `center` | the image's | what it turns around: (x, y) from the upper left corner | finite |
/// | `fill` | 0 | the value outside the image | one number, or one for each channel |
///
/// # Shape
///
/// H × W, gray or RGB; the output's is the input's, with `expand` one that holds the whole turned image,
/// such as W × H after a quarter turn.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter), when built or where `fill` has another
/// number of values than the image has channels; [`Error::WrongShape`](crate::Error::WrongShape) for
/// an image without pixels.
///
/// # Differences from PyTorch
///
/// An interpolation that cannot rotate and a range that is upside down are refused when the transform
/// is built, not when it is applied.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let quarter = RandomRotation::builder((90.0, 90.0)).build()?;
/// let image = GrayImage::from_raw(2, 2, vec![1, 2, 3, 4]).unwrap();
/// assert_eq!(quarter.apply(&image)?.into_raw(), [2, 4, 1, 3]);
///
/// let rotation = RandomRotation::builder(10.0).build()?;
/// assert_eq!(
///     rotation.to_string(),
///     "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomRotation {
    degrees: Degrees,
    interpolation: InterpolationMode,
    expand: bool,
    center: Option<(f64, f64)>,
    fill: Fill,
}

/// The parameters of a [`RandomRotation`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let rotation = RandomRotation::builder((45.0, 45.0)).expand(true).build()?;
/// assert_eq!(rotation.apply(&GrayImage::new(10, 10))?.dimensions(), (16, 16));
/// let error = RandomRotation::builder(-10.0).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "RandomRotation: degrees=-10.0 must not be negative as a single number; give the pair (min, max)"
/// );
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomRotationBuilder(RandomRotation);

impl RandomRotationBuilder {
    /// How a value between pixels is made; nearest unless set.
    pub fn interpolation(mut self, interpolation: InterpolationMode) -> Self {
        self.0.interpolation = interpolation;
        self
    }

    /// Whether the output is large enough for the whole turned image; false unless set.
    pub fn expand(mut self, expand: bool) -> Self {
        self.0.expand = expand;
        self
    }

    /// What it turns around, (x, y); the image's centre unless set.
    pub fn center(mut self, center: (f64, f64)) -> Self {
        self.0.center = Some(center);
        self
    }

    /// The value outside the image; 0 unless set.
    pub fn fill(mut self, fill: impl Into<Fill>) -> Self {
        self.0.fill = fill.into();
        self
    }

    /// The transform.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<RandomRotation> {
        self.0.degrees.check(NAME, "degrees")?;
        self.0.interpolation.check_for_transform(NAME)?;
        check_center(NAME, self.0.center)?;
        self.0.fill.check(NAME, "fill")?;
        Ok(self.0)
    }
}

impl RandomRotation {
    /// The parameters of a rotation; the others are set on what it returns.
    pub fn builder(degrees: impl Into<Degrees>) -> RandomRotationBuilder {
        RandomRotationBuilder(Self {
            degrees: degrees.into(),
            interpolation: InterpolationMode::Nearest,
            expand: false,
            center: None,
            fill: Fill::from(0),
        })
    }
}

impl<P: ImagePixel> Transform<Image<P>> for RandomRotation {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        not_empty(NAME, image)?;
        let fill = self.fill.pixel(NAME)?;
        let angle = with_global(|generator| generator.between(self.degrees.range()));
        let Self {
            interpolation,
            expand,
            center,
            ..
        } = *self;
        rotate(NAME, image, angle, interpolation, expand, center, fill)
    }
}

impl fmt::Display for RandomRotation {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expand = repr::boolean(self.expand);
        write!(f, "RandomRotation(degrees={}, ", self.degrees)?;
        write!(f, "interpolation={}, expand={expand}", self.interpolation)?;
        if let Some(center) = self.center {
            write!(f, ", center={}", repr::pair(center))?;
        }
        write!(f, ", fill={})", self.fill)
    }
}
