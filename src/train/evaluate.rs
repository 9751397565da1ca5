//! Running a net over a data set without training it.

use candle_core::{DType, Device, Tensor};

use super::awake::awake;
use super::evaluation::Evaluation;
use super::prefetch::Prefetch;
use super::resident::Resident;
use crate::data::{Batch, DataLoader};
use crate::nn::Network;
use crate::{Error, Result};

/// Runs a net over a data set without training it: its loss, its accuracy, its predictions. Batches go to the device
/// that the net's parameters are on; where it has none, to the CPU.
///
/// The loss is the plain mean cross-entropy, `1/n Σ -log p(target)`.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `net` | what is evaluated | its parameters are on one device |
/// | `loader` | the images | one batch at least |
///
/// # Errors
///
/// [`Error::EmptyDataset`]; [`Error::WrongShape`] where the net does not give (N, classes);
/// [`Error::TargetOutOfRange`] where a label is not one of the classes.
///
/// # Differences from PyTorch
///
/// PyTorch has no such function; its examples write the loop by hand.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let loader = DataLoader::builder(test).batch_size(1000).build()?;
/// manual_seed(0);
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let evaluation = evaluate(&net, &loader)?;
/// assert!(evaluation.accuracy < 0.2); // it has learned nothing yet
/// assert_eq!(evaluation.probabilities.dims(), [10_000, 10]);
/// # Ok(())
/// # }
/// ```
pub fn evaluate(net: &dyn Network, loader: &DataLoader) -> Result<Evaluation> {
    let parameters = net.parameters();
    let device = parameters
        .first()
        .map_or(&Device::Cpu, |first| first.device());
    let all = evaluate_share(net, loader, device, (0, 1), None)?;
    all.ok_or(Error::EmptyDataset { what: "evaluate" })
}

/// Of the batches those of rank `rank` of `ranks`; none where it has none.
pub(super) fn evaluate_share(
    net: &dyn Network,
    loader: &DataLoader,
    device: &Device,
    (rank, ranks): (usize, usize),
    resident: Option<&Resident>,
) -> Result<Option<Evaluation>> {
    if loader.len() <= rank {
        return Ok(None);
    }
    let batches = Prefetch::new(loader.pass(rank, ranks)?, loader, resident, device)?;
    match device.is_cpu() {
        true => awake(|| evaluate_here(net, batches, device)),
        false => evaluate_here(net, batches, device),
    }
    .map(Some)
}

fn evaluate_here(
    net: &dyn Network,
    mut batches: Prefetch<'_>,
    device: &Device,
) -> Result<Evaluation> {
    let mut found = Found::default();
    // A batch's logits are read while the net works on the next one.
    let mut last = None;
    while let Some(batch) = batches.next() {
        let Batch { images, targets } = batch?;
        let (logits, read) = batches.meanwhile(|| {
            rayon::join(
                || net.infer(&images.to_device(device)?),
                || found.read(last.take()),
            )
        });
        read?;
        last = Some((logits?, targets));
    }
    found.read(last)?;
    found.evaluation(batches.order().to_vec())
}

/// Of the images so far.
#[derive(Default)]
struct Found {
    targets: Vec<i64>,
    predictions: Vec<i64>,
    probabilities: Vec<f32>,
    losses: Vec<f64>,
}

impl Found {
    /// A batch's logits and targets.
    fn read(&mut self, batch: Option<(Tensor, Tensor)>) -> Result<()> {
        let Some((logits, targets)) = batch else {
            return Ok(());
        };
        let logits = Logits::read(&logits, targets.dim(0)?)?;
        let mut shares = Vec::new();
        for (row, target) in logits.rows().zip(targets.to_vec1::<i64>()?) {
            let class = usize::try_from(target)
                .ok()
                .filter(|&class| class < row.len());
            let Some(class) = class else {
                let position = self.targets.len();
                return Err(Error::TargetOutOfRange {
                    target,
                    position,
                    classes: row.len(),
                });
            };
            let prediction = argmax(row);
            let greatest = f64::from(row[prediction]);
            shares.clear();
            shares.extend(row.iter().map(|&x| (f64::from(x) - greatest).exp()));
            let sum = shares.iter().sum::<f64>();
            let loss = sum.ln() + greatest - f64::from(row[class]);
            self.losses.push(loss);
            self.predictions.push(prediction as i64);
            self.targets.push(target);
            let shares = shares.iter().map(|share| (share / sum) as f32);
            self.probabilities.extend(shares);
        }
        Ok(())
    }

    fn evaluation(self, indices: Vec<usize>) -> Result<Evaluation> {
        let n = self.targets.len();
        let classes = self.probabilities.len() / n;
        Ok(Evaluation {
            loss: self.losses.iter().sum::<f64>() / n as f64,
            accuracy: right(&self.predictions, &self.targets) as f64 / n as f64,
            targets: self.targets,
            predictions: self.predictions,
            probabilities: Tensor::from_vec(self.probabilities, (n, classes), &Device::Cpu)?,
            losses: self.losses,
            indices,
        })
    }
}

/// A batch's logits on the CPU.
pub(super) struct Logits {
    values: Vec<f32>,
    classes: usize,
}

impl Logits {
    /// The net's output for `n` images, which must be (n, classes).
    pub fn read(logits: &Tensor, n: usize) -> Result<Self> {
        match *logits.dims() {
            [rows, classes] if rows == n && classes > 0 => {
                let values = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
                Ok(Self { values, classes })
            }
            ref dims => Err(Error::WrongShape {
                layer: "the net",
                what: "output",
                got: dims.to_vec(),
                expected: format!("({n}, classes)"),
                cure: "end it with a Linear that has one output for each class".into(),
            }),
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }

    /// The most probable class of each image.
    pub fn predictions(&self) -> Vec<i64> {
        self.rows().map(|row| argmax(row) as i64).collect()
    }
}

/// The first of the greatest values; what is not a number counts as greater than all others, as in
/// `torch.argmax`.
fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] || (value.is_nan() && !row[best].is_nan()) {
            best = i;
        }
    }
    best
}

pub(super) fn right(predictions: &[i64], targets: &[i64]) -> usize {
    predictions
        .iter()
        .zip(targets)
        .filter(|(prediction, target)| prediction == target)
        .count()
}

#[cfg(test)]
mod tests {
    use super::argmax;

    #[test]
    fn the_greatest_is_the_first_of_ties_and_nan_wins() {
        assert_eq!(argmax(&[0.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[0.0, f32::NAN, 3.0, f32::NAN]), 1);
        assert_eq!(argmax(&[f32::NEG_INFINITY, f32::NEG_INFINITY]), 0);
    }
}
