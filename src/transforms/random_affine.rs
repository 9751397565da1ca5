use std::fmt;

use image::ImageBuffer;

use super::pillow::affine;
use super::pixel::{Image, ImagePixel, not_empty};
use super::{Degrees, Fill, InterpolationMode, Shear, Transform};
use super::{check_center, check_range, repr};
use crate::Result;
use crate::error::invalid;
use crate::random::{Generator, with_global};

const NAME: &str = "RandomAffine";

/// The image turned, moved, scaled and sheared at random. Equivalent of
/// `torchvision.transforms.RandomAffine`.
///
/// Drawn in this order, each uniform and from the global generator
/// ([`manual_seed`](crate::random::manual_seed)): the angle (clockwise); with `translate` = (a, b) a
/// shift by −a·W to a·W columns, then by −b·H to b·H rows, in whole pixels; the scale; the shear along
/// x, then along y. What is left out is not drawn.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `degrees` | required | the angles: d for −d to d, or a pair (min, max); 0 for none | d ≥ 0; min ≤ max |
/// | `translate` | none | the largest shift, as a part of the width and of the height | each 0 to 1 |
/// | `scale` | none | the smallest and the largest factor | > 0; min ≤ max |
/// | `shear` | none | the shear angles: s for −s to s along x, a pair along x, or four numbers for x and y | as `degrees` |
/// | `interpolation` | nearest | how a value between pixels is made | `Nearest`, `NearestExact`, `Bilinear`, `Bicubic` |
/// | `fill` | 0 | the value outside the image | one number, or one for each channel |
/// | `center` | the image's | what stays in its place: (x, y) from the upper left corner | finite |
///
/// # Shape
///
/// H × W, gray or RGB; the output's is the input's.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter), when built or where `fill` has another
/// number of values than the image has channels; [`Error::WrongShape`](crate::Error::WrongShape) for
/// an image without pixels.
///
/// # Differences from PyTorch
///
/// An interpolation that cannot be used and a range that is upside down are refused when the
/// transform is built, not when it is applied.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let affine = RandomAffine::builder(10).translate((0.1, 0.1)).scale((0.9, 1.1)).build()?;
/// manual_seed(0);
/// assert_eq!(affine.apply(&GrayImage::new(28, 28))?.dimensions(), (28, 28));
/// assert_eq!(
///     affine.to_string(),
///     "RandomAffine(degrees=[-10.0, 10.0], translate=(0.1, 0.1), scale=(0.9, 1.1))"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomAffine {
    degrees: Degrees,
    translate: Option<(f64, f64)>,
    scale: Option<(f64, f64)>,
    shear: Option<Shear>,
    interpolation: InterpolationMode,
    fill: Fill,
    center: Option<(f64, f64)>,
}

/// The parameters of a [`RandomAffine`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let sheared = RandomAffine::builder(0).shear([-5.0, 5.0, 0.0, 0.0]).fill(255).build()?;
/// assert_eq!(sheared.apply(&GrayImage::new(28, 28))?.dimensions(), (28, 28));
/// let error = RandomAffine::builder(0).translate((0.1, 2.0)).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "RandomAffine: translate=(0.1, 2.0) must be from 0 to 1, parts of the image's width and height"
/// );
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomAffineBuilder(RandomAffine);

impl RandomAffineBuilder {
    /// The largest shift, as a part of the width and of the height; no shift unless set.
    pub fn translate(mut self, translate: (f64, f64)) -> Self {
        self.0.translate = Some(translate);
        self
    }

    /// The smallest and the largest factor; no scaling unless set.
    pub fn scale(mut self, scale: (f64, f64)) -> Self {
        self.0.scale = Some(scale);
        self
    }

    /// The shear angles; no shear unless set.
    pub fn shear(mut self, shear: impl Into<Shear>) -> Self {
        self.0.shear = Some(shear.into());
        self
    }

    /// How a value between pixels is made; nearest unless set.
    pub fn interpolation(mut self, interpolation: InterpolationMode) -> Self {
        self.0.interpolation = interpolation;
        self
    }

    /// The value outside the image; 0 unless set.
    pub fn fill(mut self, fill: impl Into<Fill>) -> Self {
        self.0.fill = fill.into();
        self
    }

    /// What stays in its place, (x, y); the image's centre unless set.
    pub fn center(mut self, center: (f64, f64)) -> Self {
        self.0.center = Some(center);
        self
    }

    /// The transform.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<RandomAffine> {
        self.0.degrees.check(NAME, "degrees")?;
        if let Some(translate) = self.0.translate {
            let part = |t: f64| (0.0..=1.0).contains(&t);
            if !part(translate.0) || !part(translate.1) {
                let problem = "must be from 0 to 1, parts of the image's width and height";
                return invalid(NAME, "translate", repr::pair(translate), problem);
            }
        }
        if let Some(scale) = self.0.scale {
            check_range(NAME, "scale", scale)?;
            if scale.0 as f32 <= 0.0 {
                let problem = "must be positive; 1 keeps the size";
                return invalid(NAME, "scale", repr::pair(scale), problem);
            }
        }
        if let Some(shear) = self.0.shear {
            shear.check(NAME)?;
        }
        self.0.interpolation.check_for_transform(NAME)?;
        self.0.fill.check(NAME, "fill")?;
        check_center(NAME, self.0.center)?;
        Ok(self.0)
    }
}

/// What one image gets.
struct Drawn {
    angle: f64,
    translate: (f64, f64),
    scale: f64,
    shear: (f64, f64),
}

impl RandomAffine {
    /// The parameters of the map; the others are set on what it returns.
    pub fn builder(degrees: impl Into<Degrees>) -> RandomAffineBuilder {
        RandomAffineBuilder(Self {
            degrees: degrees.into(),
            translate: None,
            scale: None,
            shear: None,
            interpolation: InterpolationMode::Nearest,
            fill: Fill::from(0),
            center: None,
        })
    }

    fn draw(&self, generator: &mut Generator, (width, height): (f64, f64)) -> Drawn {
        let angle = generator.between(self.degrees.range());
        let translate = self.translate.map_or((0.0, 0.0), |(x, y)| {
            let mut shift = |most: f64| generator.between((-most, most)).round_ties_even();
            (shift(x * width), shift(y * height))
        });
        let scale = self.scale.map_or(1.0, |scale| generator.between(scale));
        let shear = self.shear.map_or((0.0, 0.0), |shear| {
            let x = generator.between(shear.x().range());
            let y = shear.y().map_or(0.0, |y| generator.between(y.range()));
            (x, y)
        });
        Drawn {
            angle,
            translate,
            scale,
            shear,
        }
    }
}

impl Drawn {
    /// The map from the output's places to the image's: the inverse of turning, scaling, shearing
    /// and moving.
    fn matrix(&self, (center_x, center_y): (f64, f64)) -> [f64; 6] {
        let angle = self.angle.to_radians();
        let (x, y) = (self.shear.0.to_radians(), self.shear.1.to_radians());
        let a = (angle - y).cos() / y.cos();
        let b = -(angle - y).cos() * x.tan() / y.cos() - angle.sin();
        let c = (angle - y).sin() / y.cos();
        let d = -(angle - y).sin() * x.tan() / y.cos() + angle.cos();
        // The determinant of [a, b; c, d] is 1: a turn and a shear.
        let mut matrix = [d, -b, 0.0, -c, a, 0.0].map(|value| value / self.scale);
        let (back_x, back_y) = (-center_x - self.translate.0, -center_y - self.translate.1);
        matrix[2] += matrix[0] * back_x + matrix[1] * back_y;
        matrix[5] += matrix[3] * back_x + matrix[4] * back_y;
        matrix[2] += center_x;
        matrix[5] += center_y;
        matrix
    }
}

impl<P: ImagePixel> Transform<Image<P>> for RandomAffine {
    type Output = Image<P>;

    fn apply(&self, image: &Image<P>) -> Result<Image<P>> {
        not_empty(NAME, image)?;
        let fill = self.fill.pixel(NAME)?;
        let size = (f64::from(image.width()), f64::from(image.height()));
        let drawn = with_global(|generator| self.draw(generator, size));
        let matrix = drawn.matrix(self.center.unwrap_or((size.0 * 0.5, size.1 * 0.5)));
        let mut output = ImageBuffer::from_pixel(image.width(), image.height(), fill);
        affine::transform(image, &mut output, matrix, self.interpolation);
        Ok(output)
    }
}

impl fmt::Display for RandomAffine {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomAffine(degrees={}", self.degrees)?;
        if let Some(translate) = self.translate {
            write!(f, ", translate={}", repr::pair(translate))?;
        }
        if let Some(scale) = self.scale {
            write!(f, ", scale={}", repr::pair(scale))?;
        }
        if let Some(shear) = self.shear {
            write!(f, ", shear={shear}")?;
        }
        if self.interpolation != InterpolationMode::Nearest {
            write!(f, ", interpolation={}", self.interpolation)?;
        }
        if self.fill.is_not_zero() {
            write!(f, ", fill={}", self.fill)?;
        }
        if let Some(center) = self.center {
            write!(f, ", center={}", repr::pair(center))?;
        }
        f.write_str(")")
    }
}
