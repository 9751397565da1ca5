use std::fmt;

use crate::Result;
use crate::error::invalid;

/// How a value between pixels is made. Equivalent of `torchvision.transforms.InterpolationMode`.
///
/// [`Resize`](super::Resize) takes all of them; [`RandomRotation`](super::RandomRotation) and
/// [`RandomAffine`](super::RandomAffine) take `Nearest`, `NearestExact`, `Bilinear` and `Bicubic`.
///
/// # Differences from PyTorch
///
/// None: on images `NearestExact` is `Nearest` there too.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(InterpolationMode::NearestExact.to_string(), "nearest-exact");
/// let error = RandomRotation::builder(10.0).interpolation(InterpolationMode::Box).build().unwrap_err();
/// assert!(error.to_string().starts_with("RandomRotation: interpolation=box "));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InterpolationMode {
    /// The pixel that the place lies in.
    Nearest,
    /// As `Nearest`.
    NearestExact,
    /// Weights that fall linearly over one pixel.
    Bilinear,
    /// A cubic spline over two pixels on each side.
    Bicubic,
    /// The mean of the pixels covered.
    Box,
    /// A Hamming window over one pixel on each side.
    Hamming,
    /// A windowed sinc over three pixels on each side.
    Lanczos,
}

impl InterpolationMode {
    /// Refuses what only a resize can do.
    pub(super) fn check_for_transform(self, transform: &'static str) -> Result<()> {
        match self {
            Self::Box | Self::Hamming | Self::Lanczos => invalid(
                transform,
                "interpolation",
                self,
                "only resizes; use Nearest, Bilinear or Bicubic",
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for InterpolationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearest => "nearest",
            Self::NearestExact => "nearest-exact",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Box => "box",
            Self::Hamming => "hamming",
            Self::Lanczos => "lanczos",
        })
    }
}
