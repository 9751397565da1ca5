//! What the padding of a convolution is made of.

use std::fmt;
use std::str::FromStr;

use super::LAYER;
use crate::error::invalid;
use crate::{Error, Result};

/// What is put around the image before it is convolved. PyTorch's `padding_mode`.
///
/// A row `a b c d`, with a padding of 2:
///
/// | mode | the padded row | the padding is |
/// |---|---|---|
/// | `Zeros` | `0 0 a b c d 0 0` | of any size |
/// | `Reflect` | `c b a b c d c b` | less than the image |
/// | `Replicate` | `a a a b c d d d` | of any size |
/// | `Circular` | `c d a b c d a b` | at most the image |
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let mode: PaddingMode = "reflect".parse()?;
/// assert_eq!(mode, PaddingMode::Reflect);
/// assert_eq!(PaddingMode::Circular.to_string(), "circular");
/// let error = "mirror".parse::<PaddingMode>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Conv2d: padding_mode=mirror is not known; choose zeros, reflect, replicate or circular"
/// );
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// The outermost pixels, repeated.
    Replicate,
    /// The image's other side.
    Circular,
}

impl FromStr for PaddingMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "zeros" => Ok(Self::Zeros),
            "reflect" => Ok(Self::Reflect),
            "replicate" => Ok(Self::Replicate),
            "circular" => Ok(Self::Circular),
            other => {
                let problem = "is not known; choose zeros, reflect, replicate or circular";
                invalid(LAYER, "padding_mode", other, problem)
            }
        }
    }
}

impl fmt::Display for PaddingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zeros => "zeros",
            Self::Reflect => "reflect",
            Self::Replicate => "replicate",
            Self::Circular => "circular",
        })
    }
}
