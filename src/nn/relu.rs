//! The rectifier.

use candle_core::Tensor;

use crate::{Error, Result};

/// What is negative becomes 0. Equivalent of `torch.nn.functional.relu`.
///
/// `output = max(0, input)`. Its gradient is 1 where the input is positive, else 0, also where it
/// is exactly 0; [`Tensor::relu`]'s gradient is 1 there.
///
/// # Shape
///
/// Any; the output has the input's.
///
/// # Errors
///
/// [`Error::WrongDType`] where the input is not f32, f64, f16 or bf16.
///
/// # Differences from PyTorch
///
/// Integers are refused; PyTorch takes them. There is no `inplace`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
/// let y = relu(&x)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
pub fn relu(input: &Tensor) -> Result<Tensor> {
    let got = input.dtype();
    match super::working_dtype(got) {
        Some(dtype) => Ok(crate::ops::relu::relu(&input.to_dtype(dtype)?)?.to_dtype(got)?),
        None => Err(Error::WrongDType {
            layer: "relu",
            what: "input",
            got,
            expected: "f32, f64, f16 or bf16",
        }),
    }
}
