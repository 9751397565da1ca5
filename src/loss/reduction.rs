//! What becomes of the losses of a batch.

use std::fmt;
use std::str::FromStr;

use crate::error::invalid;
use crate::{Error, Result};

/// What becomes of the losses of a batch. PyTorch's `reduction`.
///
/// # Example
///
/// ```
/// use candlelight::loss::Reduction;
///
/// let reduction: Reduction = "mean".parse()?;
/// assert_eq!(reduction, Reduction::Mean);
/// let error = "avg".parse::<Reduction>().unwrap_err();
/// assert_eq!(error.to_string(), "CrossEntropyLoss: reduction=avg is not known; choose mean, sum or none");
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// Their mean, weighted where the classes have weights: one number.
    #[default]
    Mean,
    /// Their sum: one number.
    Sum,
    /// Nothing: one number a target.
    None,
}

impl FromStr for Reduction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            "none" => Ok(Self::None),
            other => {
                let problem = "is not known; choose mean, sum or none";
                invalid("CrossEntropyLoss", "reduction", other, problem)
            }
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::None => "none",
        })
    }
}
