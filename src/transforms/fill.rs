use std::fmt;

use super::pixel::ImagePixel;
use super::repr;
use crate::Result;
use crate::error::invalid;

/// The value of pixels that an image does not have: one number for all channels, or one for each.
/// Equivalent of `fill` of torchvision's transforms.
///
/// On images, as in PIL, a fraction is cut off, and what is below 0 or above 255 becomes 0 or 255. On
/// tensors [`RandomErasing`](super::RandomErasing) writes the numbers as they are.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Fill::from(7).to_string(), "7");
/// assert_eq!(Fill::from(0.5).to_string(), "0.5");
/// assert_eq!(Fill::from([255, 128, 0]).to_string(), "[255, 128, 0]");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    values: Vec<f64>,
    /// Whether it was given as floats: only `Display` tells.
    float: bool,
    one: bool,
}

impl Fill {
    /// The values, one or one a channel.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Refuses no values and values that are no number.
    pub(super) fn check(&self, transform: &'static str, parameter: &'static str) -> Result<()> {
        match !self.values.is_empty() && self.values.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => {
                let problem = "must be a finite number, or one for each channel";
                invalid(transform, parameter, self, problem)
            }
        }
    }

    /// A pixel of it.
    pub(super) fn pixel<P: ImagePixel>(&self, transform: &'static str) -> Result<P> {
        let channels = usize::from(P::CHANNEL_COUNT);
        // `as` does what PIL does: it cuts off the fraction and stops at 0 and 255.
        let values: Vec<u8> = match *self.values {
            [value] => vec![value as u8; channels],
            ref values if values.len() == channels => values.iter().map(|&v| v as u8).collect(),
            ref values => {
                let problem = format!(
                    "has {} values for an image of {channels} channels; give one number, or one for each channel",
                    values.len()
                );
                return invalid(transform, "fill", self, problem);
            }
        };
        Ok(*P::from_slice(&values))
    }

    /// Whether torchvision's `fill != 0`.
    pub(super) fn is_not_zero(&self) -> bool {
        !self.one || self.values != [0.0]
    }
}

macro_rules! from_number {
    ($($number:ty => $float:literal),*) => { $(
        impl From<$number> for Fill {
            fn from(value: $number) -> Self {
                Self { values: vec![f64::from(value)], float: $float, one: true }
            }
        }

        impl<const N: usize> From<[$number; N]> for Fill {
            fn from(values: [$number; N]) -> Self {
                Self { values: values.map(f64::from).to_vec(), float: $float, one: false }
            }
        }

        impl From<Vec<$number>> for Fill {
            fn from(values: Vec<$number>) -> Self {
                Self { values: values.into_iter().map(f64::from).collect(), float: $float, one: false }
            }
        }
    )* };
}

from_number!(u8 => false, i32 => false, f32 => true, f64 => true);

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |&value: &f64| match self.float {
            true => repr::float(value),
            false => format!("{value}"),
        };
        let values: Vec<_> = self.values.iter().map(number).collect();
        match self.one {
            true => f.write_str(&values.concat()),
            false => write!(f, "[{}]", values.join(", ")),
        }
    }
}
