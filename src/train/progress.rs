use std::fmt;

/// Where a training run stands: what [`on_progress`](super::TrainerBuilder::on_progress) is told
/// after each step, and once more after each epoch's evaluation.
///
/// `Display` is one line, for a terminal or a notebook; of a finished epoch it leaves out the speed, so
/// that the line which stays is the same for the same seed.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let progress = Progress { epoch: 1, epochs: 3, step: 469, steps: 938, loss: 0.512, accuracy: 0.842, images_per_second: 14_300.0, ..Progress::default() };
/// assert_eq!(progress.to_string(), "epoch 1/3  step 469/938  loss 0.5120  accuracy 84.20%  14300 images/s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// How many there will be.
    pub epochs: usize,
    /// The step of this epoch, from 1.
    pub step: usize,
    /// How many an epoch has.
    pub steps: usize,
    /// The mean loss over this epoch's images so far.
    pub loss: f64,
    /// The fraction of this epoch's images so far that the net got right, each before it learned
    /// from it.
    pub accuracy: f64,
    /// The last batch's loss, before the step.
    pub batch_loss: f64,
    /// The fraction of the last batch that the net got right, before the step.
    pub batch_accuracy: f64,
    /// Images trained on in a second of this epoch.
    pub images_per_second: f64,
    /// The loss on the test set, once the epoch is evaluated.
    pub test_loss: Option<f64>,
    /// The accuracy on the test set, once the epoch is evaluated.
    pub test_accuracy: Option<f64>,
    /// Whether the epoch is over, its evaluation included.
    pub epoch_done: bool,
    /// Whether the run is over.
    pub done: bool,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            epochs,
            step,
            steps,
            loss,
            accuracy,
            images_per_second,
            ..
        } = self;
        write!(
            f,
            "epoch {epoch}/{epochs}  step {step}/{steps}  loss {loss:.4}  accuracy {:.2}%",
            100.0 * accuracy
        )?;
        // A finished epoch's line stays: only what the same seed gives again.
        if !self.epoch_done {
            write!(f, "  {images_per_second:.0} images/s")?;
        }
        if let Some(accuracy) = self.test_accuracy {
            write!(f, "  test accuracy {:.2}%", 100.0 * accuracy)?;
        }
        Ok(())
    }
}
