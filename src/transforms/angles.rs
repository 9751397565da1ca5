use std::fmt;

use super::repr;
use crate::Result;
use crate::error::invalid;

/// A range of angles in degrees: one number d for (−d, d), or a pair. Equivalent of `degrees` of
/// torchvision's transforms.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Degrees::from(10), Degrees::from(10.0));
/// assert_eq!(Degrees::from(10).to_string(), "[-10.0, 10.0]");
/// assert_eq!(Degrees::from((0.0, 90.0)).to_string(), "[0.0, 90.0]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degrees {
    low: f64,
    high: f64,
    /// Given as one number, which may not be negative.
    one: bool,
}

impl Degrees {
    /// The smallest and the largest angle.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    pub(super) fn check(&self, transform: &'static str, parameter: &'static str) -> Result<()> {
        if self.one && self.high < 0.0 {
            let problem = "must not be negative as a single number; give the pair (min, max)";
            return invalid(transform, parameter, repr::float(self.high), problem);
        }
        check_range(transform, parameter, self.range())
    }
}

/// Refuses a range of which `uniform` could not draw.
pub(super) fn check_range(
    transform: &'static str,
    parameter: &'static str,
    (low, high): (f64, f64),
) -> Result<()> {
    let drawable = |value: f64| (value as f32).is_finite();
    if drawable(low) && drawable(high) && drawable(high - low) && low <= high {
        return Ok(());
    }
    let problem = "must be finite and of the kind (min, max) with min ≤ max";
    invalid(transform, parameter, repr::pair((low, high)), problem)
}

impl From<i32> for Degrees {
    fn from(degrees: i32) -> Self {
        // Not −0.0 for 0: an int of Python has none.
        Self {
            low: 0.0 - f64::from(degrees),
            high: f64::from(degrees),
            one: true,
        }
    }
}

impl From<f64> for Degrees {
    fn from(degrees: f64) -> Self {
        Self {
            low: -degrees,
            high: degrees,
            one: true,
        }
    }
}

impl From<(f64, f64)> for Degrees {
    fn from((low, high): (f64, f64)) -> Self {
        Self {
            low,
            high,
            one: false,
        }
    }
}

impl From<[f64; 2]> for Degrees {
    fn from([low, high]: [f64; 2]) -> Self {
        Self::from((low, high))
    }
}

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repr::list(&[self.low, self.high]))
    }
}

/// Ranges of shear angles in degrees, along x and along y: one number s for (−s, s) along x, a pair
/// along x, or four numbers. Equivalent of `shear` of `torchvision.transforms.RandomAffine`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Shear::from(10).to_string(), "[-10.0, 10.0]");
/// assert_eq!(Shear::from([0.0, 5.0, -5.0, 5.0]).to_string(), "[0.0, 5.0, -5.0, 5.0]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shear {
    x: Degrees,
    y: Option<Degrees>,
}

impl Shear {
    /// The range along x.
    pub fn x(&self) -> Degrees {
        self.x
    }

    /// The range along y, where four numbers were given.
    pub fn y(&self) -> Option<Degrees> {
        self.y
    }

    pub(super) fn check(&self, transform: &'static str) -> Result<()> {
        self.x.check(transform, "shear")?;
        self.y.map_or(Ok(()), |y| y.check(transform, "shear"))
    }
}

impl<T: Into<Degrees>> From<T> for Shear {
    fn from(x: T) -> Self {
        Self {
            x: x.into(),
            y: None,
        }
    }
}

impl From<[f64; 4]> for Shear {
    fn from([x_low, x_high, y_low, y_high]: [f64; 4]) -> Self {
        Self {
            x: Degrees::from((x_low, x_high)),
            y: Some(Degrees::from((y_low, y_high))),
        }
    }
}

impl fmt::Display for Shear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = vec![self.x.low, self.x.high];
        values.extend(self.y.iter().flat_map(|y| [y.low, y.high]));
        f.write_str(&repr::list(&values))
    }
}
