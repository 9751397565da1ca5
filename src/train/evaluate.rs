use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::awake::awake;
use super::prefetch::Prefetch;
use super::resident::Resident;
use crate::data::{Batch, DataLoader};
use crate::nn::Network;
use crate::{Error, Result};

/// What a net made of a data set, image by image, in the order in which the loader gave them.
///
/// # Example
///
/// See [`evaluate`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Evaluation {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The fraction that the net got right.
    pub accuracy: f64,
    /// The true class of each image.
    pub targets: Vec<i64>,
    /// The class that the net found most probable, of each image.
    pub predictions: Vec<i64>,
    /// The probability that the net gave each class: (N, classes), on the CPU.
    pub probabilities: Tensor,
    /// The cross-entropy of each image.
    pub losses: Vec<f64>,
    /// The index of each image in the data set.
    pub indices: Vec<usize>,
}

/// An image that a net got wrong.
///
/// # Example
///
/// See [`Evaluation::worst`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mistake {
    /// The image's index in the data set.
    pub index: usize,
    /// Its true class.
    pub target: i64,
    /// The class that the net found most probable.
    pub prediction: i64,
    /// Its cross-entropy.
    pub loss: f64,
    /// The probability that the net gave `prediction`.
    pub probability: f64,
}

impl Evaluation {
    /// The mistakes with the greatest loss, at most `count`, the worst first.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let test = Mnist::builder("data").train(false).build()?;
    /// let loader = DataLoader::builder(test).batch_size(1000).build()?;
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let worst = evaluate(&net, &loader)?.worst(12);
    /// assert_eq!(worst.len(), 12);
    /// assert!(worst[0].loss >= worst[1].loss);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worst(&self, count: usize) -> Vec<Mistake> {
        let mut wrong: Vec<usize> = (0..self.targets.len())
            .filter(|&i| self.targets[i] != self.predictions[i])
            .collect();
        // The order is the same each time: of two with the same loss the earlier image comes first.
        wrong.sort_by(|&a, &b| {
            self.losses[b]
                .total_cmp(&self.losses[a])
                .then(self.indices[a].cmp(&self.indices[b]))
        });
        let mistake = |&i: &usize| Mistake {
            index: self.indices[i],
            target: self.targets[i],
            prediction: self.predictions[i],
            loss: self.losses[i],
            probability: self.probability(i),
        };
        wrong.iter().take(count).map(mistake).collect()
    }

    /// The probability of the prediction of the `i`th image.
    fn probability(&self, i: usize) -> f64 {
        let row = self
            .probabilities
            .get(i)
            .and_then(|row| row.get(self.predictions[i] as usize));
        row.and_then(|value| value.to_scalar::<f32>())
            .map_or(f64::NAN, f64::from)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loss,
            accuracy,
            targets,
            ..
        } = self;
        write!(
            f,
            "loss {loss:.4}, accuracy {:.2}% over {} images",
            100.0 * accuracy,
            targets.len()
        )
    }
}

impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evaluation({self})")
    }
}

/// Runs a net over a data set without training it: its loss, its accuracy, its predictions. Batches go to the device
/// that the net's parameters are on.
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
