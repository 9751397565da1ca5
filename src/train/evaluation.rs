//! What a net made of a data set, image by image.

use std::fmt;

use candle_core::Tensor;

/// What a net made of a data set, image by image, in the order in which the loader gave them.
///
/// # Example
///
/// See [`evaluate`](super::evaluate()).
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
