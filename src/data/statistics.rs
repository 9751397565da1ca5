use super::{MnistKind, MnistLike};
use crate::data::Dataset;
use crate::{Error, Result};

/// The mean and the standard deviation of all pixels, each scaled to 0 … 1: what
/// [`Normalize`](crate::transforms::Normalize) takes.
///
/// `mean = Σ x / n`, `std = √(Σ (x - mean)² / n)` over all n pixels of all images. For the training
/// set these are 0.1307 and 0.3081, the numbers in every MNIST example; the test set is normalised
/// with them too, because they are part of what was learned from the training set.
///
/// # Errors
///
/// [`Error::EmptyDataset`].
///
/// # Differences from PyTorch
///
/// PyTorch has no such function. `Tensor.std` divides by n - 1, which for 47 million pixels is the
/// same to seven digits.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let train = Mnist::builder("data").train(true).build()?;
/// let (mean, std) = mean_and_std(&train)?;
/// assert_eq!(format!("{mean:.4} {std:.4}"), "0.1307 0.3081");
/// # Ok(())
/// # }
/// ```
pub fn mean_and_std<K: MnistKind>(data: &MnistLike<K>) -> Result<(f64, f64)> {
    if data.is_empty() {
        return Err(Error::EmptyDataset {
            what: "mean_and_std",
        });
    }
    // Counts of each gray are exact, so neither the order of the pixels nor rounding plays a part.
    let mut counts = [0u64; 256];
    for &gray in data.images() {
        counts[usize::from(gray)] += 1;
    }
    let moment = |of: &dyn Fn(f64) -> f64| {
        let sum: f64 = counts
            .iter()
            .enumerate()
            .map(|(gray, &n)| n as f64 * of(gray as f64 / 255.0))
            .sum();
        sum / data.images().len() as f64
    };
    let mean = moment(&|x| x);
    let variance = moment(&|x| (x - mean) * (x - mean));
    Ok((mean, variance.sqrt()))
}
