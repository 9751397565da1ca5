//! When an answer is PyTorch's.

use candlelight::candle_core::{DType, Tensor};

use crate::case::{Case, Result};
use crate::refusal;

/// What became of a case.
#[derive(Clone, Copy)]
pub enum Answer {
    /// The values agree, up to this error.
    Agrees(f64),
    /// Both refuse it.
    Refused,
}

/// How far a layer's or a loss's values may be from PyTorch's, relative to the largest of them. Of the
/// halves, whose every number is rounded to 1 in 2048 or 1 in 256 and in PyTorch more than once, the
/// largest may be off by eight.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-12,
        DType::F16 => 8.0 / 2048.0,
        DType::BF16 => 8.0 / 256.0,
        _ => 1e-5,
    }
}

/// The largest difference, relative to the largest value expected; an `Err` beyond `tolerance`.
pub fn close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) -> Result<f64> {
    within(what, got, expected, tolerance, largest(expected)?)
}

/// The largest difference, as it is; an `Err` beyond `tolerance`.
pub fn apart(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) -> Result<f64> {
    within(what, got, expected, tolerance, 1.0)
}

/// The largest difference, relative to `scale`; an `Err` beyond `tolerance`.
pub fn within(
    what: &str,
    got: &Tensor,
    expected: &Tensor,
    tolerance: f64,
    scale: f64,
) -> Result<f64> {
    let of = |tensor: &Tensor| (tensor.dtype(), tensor.dims().to_vec());
    if of(got) != of(expected) {
        let (got, expected) = (of(got), of(expected));
        return Err(format!("{what} is {got:?}, expected {expected:?}").into());
    }
    let mut error = 0f64;
    for (i, (got, expected)) in flat(got)?.into_iter().zip(flat(expected)?).enumerate() {
        if got == expected || (got.is_nan() && expected.is_nan()) {
            continue;
        }
        let difference = (got - expected).abs() / scale;
        if difference > tolerance || difference.is_nan() {
            let message = format!(
                "{what}: element {i} is {got:e}, expected {expected:e}: off by {difference:.1e} of {scale:.1e}"
            );
            return Err(message.into());
        }
        error = error.max(difference);
    }
    Ok(error)
}

/// The same to the last digit.
pub fn equal(what: &str, got: &Tensor, expected: &Tensor) -> Result<f64> {
    close(what, got, expected, 0.0)
}

/// The largest finite value.
pub fn largest(tensor: &Tensor) -> Result<f64> {
    let finite = |largest: f64, value: f64| match value.is_finite() {
        true => largest.max(value.abs()),
        false => largest,
    };
    Ok(flat(tensor)?.into_iter().fold(0.0, finite))
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    let tensor = tensor.to_dtype(DType::F64)?.flatten_all()?;
    Ok(tensor.to_vec1::<f64>()?)
}

/// Where PyTorch refused, ours must too, and name the parameter; where it did not, `compare` decides.
pub fn answer<T>(
    case: &Case,
    ours: candlelight::Result<T>,
    compare: impl FnOnce(T) -> Result<f64>,
) -> Result<Answer> {
    match (&case.refusal, ours) {
        (None, Ok(ours)) => Ok(Answer::Agrees(compare(ours)?)),
        (None, Err(error)) => Err(error.into()),
        (Some(message), Ok(_)) => Err(format!("is taken; PyTorch: {message}").into()),
        (Some(message), Err(error)) => {
            refusal::check(case, message, &error.to_string())?;
            Ok(Answer::Refused)
        }
    }
}
