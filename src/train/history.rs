use std::fmt;

use crate::Result;
use crate::plot::{self, Figure};

/// One step of a training run.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let steps = vec![StepRecord { step: 1, epoch: 1, loss: f64::NAN, accuracy: 0.1 }];
/// let history = History { steps, ..History::default() };
/// assert_eq!(history.diverged_at(), Some(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRecord {
    /// The step, from 1, counted through all epochs.
    pub step: usize,
    /// Its epoch, from 1.
    pub epoch: usize,
    /// The batch's loss, before the step.
    pub loss: f64,
    /// The fraction of the batch that the net got right, before the step.
    pub accuracy: f64,
}

/// One epoch of a training run.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let epoch = EpochRecord {
///     epoch: 1,
///     train_loss: 0.23,
///     train_accuracy: 0.93,
///     test_loss: None,
///     test_accuracy: Some(0.978),
///     seconds: 4.0,
///     images: 60_000,
/// };
/// let history = History { epochs: vec![epoch], ..History::default() };
/// assert_eq!(history.images_per_second(), 15_000.0);
/// assert!(history.to_string().contains("97.80%"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The mean loss over the epoch's images, each before the net learned from it.
    pub train_loss: f64,
    /// The accuracy over the epoch's images, each before the net learned from it.
    pub train_accuracy: f64,
    /// The mean loss over the test set after the epoch.
    pub test_loss: Option<f64>,
    /// The accuracy over the test set after the epoch.
    pub test_accuracy: Option<f64>,
    /// What training took, without the evaluation.
    pub seconds: f64,
    /// How many images it trained on.
    pub images: usize,
}

/// Loss and accuracy of a training run, by step and by epoch. `Display` is a table of its epochs.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let history = History::default();
/// assert!(history.last().is_none());
/// assert_eq!(history.diverged_at(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Each step.
    pub steps: Vec<StepRecord>,
    /// Each epoch.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// Loss and accuracy as curves.
    ///
    /// # Errors
    ///
    /// [`Error::Plot`](crate::Error::Plot).
    pub fn plot(&self) -> Result<Figure> {
        plot::history(self)
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// The first step whose loss is infinite or not a number: from there on nothing is learned.
    pub fn diverged_at(&self) -> Option<usize> {
        self.steps
            .iter()
            .find(|step| !step.loss.is_finite())
            .map(|step| step.step)
    }

    /// Images trained on in a second, over all epochs, without the evaluations.
    pub fn images_per_second(&self) -> f64 {
        let images: usize = self.epochs.iter().map(|epoch| epoch.images).sum();
        images as f64 / self.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "epoch  train loss  train accuracy  test loss  test accuracy  seconds"
        )?;
        for epoch in &self.epochs {
            let loss = epoch
                .test_loss
                .map_or("-".into(), |loss| format!("{loss:.4}"));
            let accuracy = epoch.test_accuracy.map_or("-".into(), percent);
            write!(
                f,
                "\n{:>5}  {:>10.4}  {:>14}",
                epoch.epoch,
                epoch.train_loss,
                percent(epoch.train_accuracy)
            )?;
            write!(f, "  {loss:>9}  {accuracy:>13}  {:>7.2}", epoch.seconds)?;
        }
        if let Some(step) = self.diverged_at() {
            write!(
                f,
                "\nthe loss is not finite from step {step} on: train again with a lower learning rate"
            )?;
        }
        Ok(())
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.2}%", 100.0 * fraction)
}
