use std::fmt;

use candle_core::Tensor;

use super::{Fill, Transform, check_range, inplace, probability, repr};
use crate::error::invalid;
use crate::random::{Generator, with_global};
use crate::{Error, Result};

const NAME: &str = "RandomErasing";

/// A rectangle of the image overwritten, with probability `p`. Equivalent of
/// `torchvision.transforms.RandomErasing`.
///
/// From the global generator ([`manual_seed`](crate::random::manual_seed)): whether; then, up to ten
/// times until it is smaller than the image, the rectangle's part of the area, uniform in `scale`, and
/// its height divided by its width, whose logarithm is uniform in that of `ratio`; then, where `value`
/// is random, the values; then the place. If no rectangle fits, the image stays as it is.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `p` | 0.5 | how likely the image is changed | 0 to 1 |
/// | `scale` | (0.02, 0.33) | the rectangle's part of the image's area | 0 ≤ min ≤ max ≤ 1 |
/// | `ratio` | (0.3, 3.3) | its height divided by its width | 0 < min ≤ max |
/// | `value` | 0 | what is written | one number, one for each channel, or [`ErasingValue::Random`]: normal with mean 0 and deviation 1 |
/// | `inplace` | false | whether the input itself is overwritten | |
///
/// # Shape
///
/// (…, C, H, W) of floats; the output's is the input's. With leading dimensions every image gets the
/// same rectangle and values.
///
/// # Errors
///
/// [`Error::InvalidParameter`], when built, where `value` does not go with C, or with `inplace` where the
/// input is not contiguous; [`Error::WrongShape`] for an input of fewer than three dimensions or without
/// values, [`Error::WrongDType`] for one that is not of a float.
///
/// # Differences from PyTorch
///
/// A `scale` or a `ratio` that is upside down is refused when the transform is built; torchvision
/// warns, and fails on the first image that it changes. A `value` that does not go with the channels
/// is refused on every image, not only on one that is changed. Integer tensors are refused.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let erasing = RandomErasing::builder().p(1.0).scale((0.25, 0.25)).ratio((1.0, 1.0)).build()?;
/// manual_seed(0);
/// let white = Tensor::ones((1, 28, 28), DType::F32, &Device::Cpu)?;
/// let erased = erasing.apply(&white)?;
/// assert_eq!(erased.sum_all()?.to_scalar::<f32>()?, 28.0 * 28.0 * 0.75);
/// assert_eq!(
///     RandomErasing::builder().build()?.to_string(),
///     "RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False)"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomErasing {
    p: f64,
    scale: (f64, f64),
    ratio: (f64, f64),
    value: ErasingValue,
    inplace: bool,
}

/// What [`RandomErasing`] writes.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
/// use candlelight::transforms::ErasingValue;
///
/// assert_eq!(ErasingValue::from([0.5, 0.0, 1.0]).to_string(), "[0.5, 0.0, 1.0]");
/// assert_eq!(ErasingValue::Random.to_string(), "random");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ErasingValue {
    /// One number, or one for each channel.
    Constant(Fill),
    /// Each value normal with mean 0 and deviation 1.
    Random,
}

impl<T: Into<Fill>> From<T> for ErasingValue {
    fn from(value: T) -> Self {
        Self::Constant(value.into())
    }
}

impl fmt::Display for ErasingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(fill) => fill.fmt(f),
            Self::Random => f.write_str("random"),
        }
    }
}

/// The parameters of a [`RandomErasing`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = RandomErasing::builder().p(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "RandomErasing: p=1.5 must be a probability, from 0 to 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomErasingBuilder(RandomErasing);

impl RandomErasingBuilder {
    /// How likely the image is changed; 0.5 unless set.
    pub fn p(mut self, p: f64) -> Self {
        self.0.p = p;
        self
    }

    /// The rectangle's part of the image's area, (min, max); (0.02, 0.33) unless set.
    pub fn scale(mut self, scale: (f64, f64)) -> Self {
        self.0.scale = scale;
        self
    }

    /// The rectangle's height divided by its width, (min, max); (0.3, 3.3) unless set.
    pub fn ratio(mut self, ratio: (f64, f64)) -> Self {
        self.0.ratio = ratio;
        self
    }

    /// What is written; 0 unless set.
    pub fn value(mut self, value: impl Into<ErasingValue>) -> Self {
        self.0.value = value.into();
        self
    }

    /// Whether the input itself is overwritten, which then must be contiguous; false unless set.
    pub fn inplace(mut self, inplace: bool) -> Self {
        self.0.inplace = inplace;
        self
    }

    /// The transform.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where a parameter is outside its range.
    pub fn build(self) -> Result<RandomErasing> {
        let RandomErasing {
            p, scale, ratio, ..
        } = self.0;
        probability(NAME, p)?;
        check_range(NAME, "scale", scale)?;
        if scale.0 < 0.0 || scale.1 > 1.0 {
            let problem = "must be from 0 to 1, parts of the image's area";
            return invalid(NAME, "scale", repr::pair(scale), problem);
        }
        check_range(NAME, "ratio", ratio)?;
        if ratio.0 as f32 <= 0.0 {
            let problem = "must be positive; 1 is a square";
            return invalid(NAME, "ratio", repr::pair(ratio), problem);
        }
        if let ErasingValue::Constant(fill) = &self.0.value {
            fill.check(NAME, "value")?;
        }
        Ok(self.0)
    }
}

/// Rows and columns of a rectangle, and its first.
struct Rectangle {
    size: (usize, usize),
    values: Option<Vec<f32>>,
    place: (usize, usize),
}

impl RandomErasing {
    /// The parameters, all of them optional: set on what it returns.
    pub fn builder() -> RandomErasingBuilder {
        RandomErasingBuilder(Self {
            p: 0.5,
            scale: (0.02, 0.33),
            ratio: (0.3, 3.3),
            value: Fill::from(0).into(),
            inplace: false,
        })
    }

    fn draw(
        &self,
        generator: &mut Generator,
        (channels, rows, columns): (usize, usize, usize),
    ) -> Option<Rectangle> {
        if !generator.happens(self.p) {
            return None;
        }
        // Single precision, as the tensors by which torchvision computes this.
        let log = |ratio: f64| f64::from(f64::from(ratio as f32).ln() as f32);
        let log_ratio = (log(self.ratio.0), log(self.ratio.1));
        let area = rows as f64 * columns as f64;
        for _ in 0..10 {
            let erased = area * generator.between(self.scale);
            let ratio = f64::from(generator.between(log_ratio).exp() as f32);
            let side = |square: f64| square.sqrt().round_ties_even() as usize;
            let size = (side(erased * ratio), side(erased / ratio));
            if size.0 >= rows || size.1 >= columns {
                continue;
            }
            let values = match self.value {
                ErasingValue::Constant(_) => None,
                ErasingValue::Random => Some(generator.normal(channels * size.0 * size.1)),
            };
            let mut start = |room: usize| generator.below(room as u64 + 1) as usize;
            let place = (start(rows - size.0), start(columns - size.1));
            return Some(Rectangle {
                size,
                values,
                place,
            });
        }
        None
    }

    fn erased(&self, input: &Tensor, channels: usize, rectangle: Rectangle) -> Result<Tensor> {
        let Rectangle {
            size: (h, w),
            values,
            place: (top, left),
        } = rectangle;
        let device = input.device();
        let values = match (values, &self.value) {
            (Some(values), _) => Tensor::from_vec(values, (channels, h, w), device)?,
            (None, ErasingValue::Constant(fill)) => {
                let values: Vec<f32> = fill.values().iter().map(|&value| value as f32).collect();
                let shape = (values.len(), 1, 1);
                Tensor::from_vec(values, shape, device)?
            }
            (None, ErasingValue::Random) => return Ok(input.clone()),
        };
        let leading = input.rank() - 2;
        let mut shape = input.dims()[..leading].to_vec();
        let mut ranges: Vec<_> = shape.iter().map(|&length| 0..length).collect();
        shape.extend([h, w]);
        ranges.extend([top..top + h, left..left + w]);
        let values = values.to_dtype(input.dtype())?.broadcast_as(shape)?;
        Ok(input.slice_assign(&ranges, &values.contiguous()?)?)
    }
}

impl Transform<Tensor> for RandomErasing {
    type Output = Tensor;

    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let dims = input.dims();
        let [.., channels, rows, columns] = *dims else {
            return Err(wrong_shape(dims));
        };
        if input.elem_count() == 0 {
            return Err(wrong_shape(dims));
        }
        if !input.dtype().is_float() {
            return Err(Error::WrongDType {
                layer: NAME,
                what: "input",
                got: input.dtype(),
                expected: "a float",
            });
        }
        if let ErasingValue::Constant(fill) = &self.value
            && ![1, channels].contains(&fill.values().len())
        {
            let problem = format!(
                "has {} values for an image of {channels} channels; give one number, or one for each channel",
                fill.values().len()
            );
            return invalid(NAME, "value", fill, problem);
        }
        match with_global(|generator| self.draw(generator, (channels, rows, columns))) {
            Some(rectangle) if rectangle.size.0 > 0 && rectangle.size.1 > 0 => {
                let output = self.erased(input, channels, rectangle)?;
                match self.inplace {
                    true => inplace(NAME, input, &output),
                    false => Ok(output),
                }
            }
            _ => Ok(input.clone()),
        }
    }
}

fn wrong_shape(got: &[usize]) -> Error {
    Error::WrongShape {
        layer: NAME,
        what: "input",
        got: got.to_vec(),
        expected: "(…, C, H, W), none of them 0".into(),
        cure: "put ToTensor before it".into(),
    }
}

impl fmt::Display for RandomErasing {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p, inplace) = (repr::float(self.p), repr::boolean(self.inplace));
        let (scale, ratio) = (repr::pair(self.scale), repr::pair(self.ratio));
        let value = &self.value;
        write!(
            f,
            "RandomErasing(p={p}, scale={scale}, ratio={ratio}, value={value}, inplace={inplace})"
        )
    }
}
