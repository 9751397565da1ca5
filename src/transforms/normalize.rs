use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::{Transform, inplace, repr};
use crate::error::invalid;
use crate::{Error, Result};

/// Shifts and scales each channel to mean 0 and deviation 1. Equivalent of
/// `torchvision.transforms.Normalize`.
///
/// `y[c] = (x[c] - mean[c]) / std[c]`, in the tensor's dtype.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `mean` | required | the mean of each channel | finite; one a channel, or one for all |
/// | `std` | required | the deviation of each channel | finite, not 0; as many as `mean` |
/// | `inplace` | false | whether the input itself is overwritten, and is the output | a contiguous input |
///
/// # Shape
///
/// (…, C, H, W), with any number of dimensions before C; the output's is the input's.
///
/// # Errors
///
/// [`new`](Self::new) tells its own. [`apply`](Transform::apply) gives [`Error::WrongShape`] for an
/// input of fewer than three dimensions or of another number of channels, [`Error::WrongDType`] for
/// one that is not of a float, and [`Error::InvalidParameter`] where a `std` becomes 0 in the input's
/// dtype, or with `inplace` where the input is not contiguous.
///
/// # Differences from PyTorch
///
/// A `std` of 0 is refused when the transform is made, not when it is applied. An input that is not
/// contiguous is refused with `inplace`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let normalize = Normalize::new([0.1307], [0.3081])?;
/// let black = Tensor::zeros((1, 28, 28), DType::F32, &Device::Cpu)?;
/// let y = normalize.apply(&black)?;
/// assert_eq!(y.dims(), [1, 28, 28]);
/// assert!((y.max_all()?.to_scalar::<f32>()? + 0.4242).abs() < 1e-4);
///
/// let error = Normalize::new([0.1307], [0.0]).unwrap_err();
/// assert_eq!(error.to_string(), "Normalize: std=[0.0] must be finite and not 0; use mean_and_std to compute it");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    mean: Vec<f64>,
    std: Vec<f64>,
    inplace: bool,
}

impl Normalize {
    /// A transform with these means and deviations.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] when `mean` is empty or not finite, when `std` has another
    /// length than `mean`, is not finite, or holds a 0.
    pub fn new(mean: impl AsRef<[f64]>, std: impl AsRef<[f64]>) -> Result<Self> {
        let (mean, std) = (mean.as_ref().to_vec(), std.as_ref().to_vec());
        let refuse = |parameter, values: &[f64], problem: String| {
            Err(Error::InvalidParameter {
                layer: "Normalize",
                parameter,
                value: format!("{values:?}"),
                problem,
            })
        };
        if mean.is_empty() || !mean.iter().all(|m| m.is_finite()) {
            return refuse(
                "mean",
                &mean,
                "must hold finite values, one a channel; use mean_and_std to compute it".into(),
            );
        }
        if std.len() != mean.len() {
            return refuse(
                "std",
                &std,
                format!("must have as many values as mean, which has {}", mean.len()),
            );
        }
        if !std.iter().all(|s| s.is_finite() && *s != 0.0) {
            return refuse(
                "std",
                &std,
                "must be finite and not 0; use mean_and_std to compute it".into(),
            );
        }
        Ok(Self {
            mean,
            std,
            inplace: false,
        })
    }

    /// Whether the input itself is overwritten, and whatever shares its memory with it.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let x = Tensor::ones((1, 2, 2), DType::F32, &Device::Cpu)?;
    /// Normalize::new([0.5], [0.5])?.inplace(true).apply(&x)?;
    /// Normalize::new([0.5], [0.25])?.apply(&x)?;
    /// assert_eq!(x.sum_all()?.to_scalar::<f32>()?, 4.0);
    /// Normalize::new([0.5], [0.25])?.inplace(true).apply(&x)?;
    /// assert_eq!(x.sum_all()?.to_scalar::<f32>()?, 8.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inplace(mut self, inplace: bool) -> Self {
        self.inplace = inplace;
        self
    }

    /// The mean of each channel.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The deviation of each channel.
    pub fn std(&self) -> &[f64] {
        &self.std
    }
}

impl Transform<Tensor> for Normalize {
    type Output = Tensor;

    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let [.., channels, _, _] = *input.dims() else {
            return Err(self.wrong_shape(input.dims()));
        };
        if self.mean.len() != 1 && self.mean.len() != channels {
            return Err(self.wrong_shape(input.dims()));
        }
        if !matches!(
            input.dtype(),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16
        ) {
            return Err(Error::WrongDType {
                layer: "Normalize",
                what: "input",
                got: input.dtype(),
                expected: "a float",
            });
        }
        // Subtract, then divide, in the tensor's dtype: PyTorch's order, so PyTorch's rounding.
        let column = |values: &[f64]| {
            Tensor::new(values, &Device::Cpu)?
                .to_dtype(input.dtype())?
                .reshape((values.len(), 1, 1))
        };
        let (mean, std) = (column(&self.mean)?, column(&self.std)?);
        let rounded = std.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        if rounded.contains(&0.0) {
            let problem = format!(
                "becomes 0 in the input's dtype {:?}; use a larger std, or convert the input with to_dtype",
                input.dtype()
            );
            return invalid("Normalize", "std", repr::list(&self.std), problem);
        }
        let output = input
            .broadcast_sub(&mean.to_device(input.device())?)?
            .broadcast_div(&std.to_device(input.device())?)?;
        match self.inplace {
            true => inplace("Normalize", input, &output),
            false => Ok(output),
        }
    }

    fn is_pointwise(&self) -> bool {
        // One value for every channel; with more, the place decides which.
        self.mean.len() == 1
    }
}

impl Normalize {
    fn wrong_shape(&self, got: &[usize]) -> Error {
        let c = self.mean.len();
        Error::WrongShape {
            layer: "Normalize",
            what: "input",
            got: got.to_vec(),
            expected: format!("(…, {c}, H, W)"),
            cure: "give one mean and one std for each channel, and put ToTensor before it".into(),
        }
    }
}

impl fmt::Display for Normalize {
    /// What torchvision's `repr` prints for lists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean, std) = (repr::list(&self.mean), repr::list(&self.std));
        write!(f, "Normalize(mean={mean}, std={std})")
    }
}
