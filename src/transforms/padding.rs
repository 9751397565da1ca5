use std::fmt;

/// How many pixels are put on each side of an image: one number for all sides, a pair (left and
/// right, top and bottom), or four (left, top, right, bottom). Equivalent of `padding` of
/// torchvision's transforms. A negative number takes pixels away.
///
/// The order is torchvision's: x before y, other than in a [`Size2`](crate::size::Size2).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Padding4::from(2).sides(), [2, 2, 2, 2]);
/// assert_eq!(Padding4::from((1, 2)).sides(), [1, 2, 1, 2]);
/// assert_eq!(Padding4::from((1, 2, 3, 4)).to_string(), "(1, 2, 3, 4)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding4 {
    /// The same on all sides.
    All(i64),
    /// Left and right; top and bottom.
    Axes(i64, i64),
    /// Left, top, right, bottom.
    Sides(i64, i64, i64, i64),
}

impl Padding4 {
    /// Left, top, right, bottom.
    pub fn sides(self) -> [i64; 4] {
        match self {
            Self::All(all) => [all; 4],
            Self::Axes(x, y) => [x, y, x, y],
            Self::Sides(left, top, right, bottom) => [left, top, right, bottom],
        }
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => { $(
        impl From<$integer> for Padding4 {
            fn from(all: $integer) -> Self {
                Self::All(saturated(all))
            }
        }

        impl From<($integer, $integer)> for Padding4 {
            fn from((x, y): ($integer, $integer)) -> Self {
                Self::Axes(saturated(x), saturated(y))
            }
        }

        impl From<($integer, $integer, $integer, $integer)> for Padding4 {
            fn from((left, top, right, bottom): ($integer, $integer, $integer, $integer)) -> Self {
                Self::Sides(saturated(left), saturated(top), saturated(right), saturated(bottom))
            }
        }
    )* };
}

from_integer!(i32, i64, u32, usize);

/// More than any image can take, so that it is refused later.
fn saturated(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl fmt::Display for Padding4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(all) => write!(f, "{all}"),
            Self::Axes(x, y) => write!(f, "({x}, {y})"),
            Self::Sides(left, top, right, bottom) => {
                write!(f, "({left}, {top}, {right}, {bottom})")
            }
        }
    }
}

/// What is put around an image. Equivalent of `padding_mode` of torchvision's transforms.
///
/// # Differences from PyTorch
///
/// The layers' padding modes are another type, as they are other modes in PyTorch.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let row = GrayImage::from_raw(4, 1, vec![1, 2, 3, 4]).unwrap();
/// let padded = |mode| Ok::<_, Error>(Pad::builder((2, 0)).padding_mode(mode).build()?.apply(&row)?.into_raw());
/// assert_eq!(padded(PadMode::Constant)?, [0, 0, 1, 2, 3, 4, 0, 0]);
/// assert_eq!(padded(PadMode::Edge)?, [1, 1, 1, 2, 3, 4, 4, 4]);
/// assert_eq!(padded(PadMode::Reflect)?, [3, 2, 1, 2, 3, 4, 3, 2]);
/// assert_eq!(padded(PadMode::Symmetric)?, [2, 1, 1, 2, 3, 4, 4, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// The value `fill`.
    Constant,
    /// The nearest pixel of the image.
    Edge,
    /// The image mirrored at the middle of its last pixel, which is not repeated.
    Reflect,
    /// The image mirrored behind its last pixel, which is repeated.
    Symmetric,
}

impl fmt::Display for PadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Edge => "edge",
            Self::Reflect => "reflect",
            Self::Symmetric => "symmetric",
        })
    }
}
