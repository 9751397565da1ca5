use std::fmt;
use std::time::Instant;

use candle_core::Device;

use super::evaluate::{Logits, right};
use super::{EpochRecord, History, Progress, StepRecord, device, evaluate};
use crate::data::{Batch, DataLoader};
use crate::loss::CrossEntropyLoss;
use crate::nn::Network;
use crate::optim::Optimizer;
use crate::{Error, Result};

type Callback = Box<dyn FnMut(&Progress) + Send>;

/// The training loop: for each batch forward, loss, backward, step; after each epoch an evaluation.
///
/// It prints nothing; what it does comes through
/// [`on_progress`](TrainerBuilder::on_progress) and the [`History`].
///
/// # Differences from PyTorch
///
/// PyTorch has no trainer; its MNIST example writes this loop by hand. After the same
/// [`manual_seed`](crate::random::manual_seed) this one sees the same batches in the same order.
///
/// # Example
///
/// One epoch over the test set, as it is the smaller one:
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// manual_seed(0);
/// let device = Device::Cpu;
/// let net = Net::new(var_builder(DType::F32, &device))?;
/// let criterion = CrossEntropyLoss::builder().build()?;
/// let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
/// let images = Mnist::builder("data").train(false).build()?;
/// let loader = DataLoader::builder(images).batch_size(64).shuffle(true).build()?;
///
/// let mut trainer = Trainer::builder(net.clone(), criterion, sgd).epochs(1).build()?;
/// let history = trainer.fit(&loader, None)?;
/// assert_eq!(history.steps.len(), 157);
/// assert!(history.steps[156].loss < history.steps[0].loss);
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    net: Box<dyn Network + Send>,
    criterion: CrossEntropyLoss,
    optimizer: Box<dyn Optimizer + Send>,
    device: Device,
    epochs: usize,
    on_progress: Option<Callback>,
}

impl Trainer {
    /// A trainer of `net`, whose parameters `optimizer` changes.
    pub fn builder(
        net: impl Network + Send + 'static,
        criterion: CrossEntropyLoss,
        optimizer: impl Optimizer + Send + 'static,
    ) -> TrainerBuilder {
        TrainerBuilder {
            net: Box::new(net),
            criterion,
            optimizer: Box::new(optimizer),
            device: None,
            epochs: 1,
            on_progress: None,
        }
    }

    /// The device that it trains on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Trains for the number of epochs, and after each evaluates the net on `test`. Called again, it
    /// goes on from where the net is.
    ///
    /// A loss that is not finite stops nothing: it stands in the history, and
    /// [`History::diverged_at`] names its step.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyDataset`] where a loader has no batch, [`Error::WrongShape`] where the net does
    /// not give (N, classes) or the criterion not one number, and what data set, net, criterion and
    /// optimizer return.
    pub fn fit(&mut self, train: &DataLoader, test: Option<&DataLoader>) -> Result<History> {
        if train.is_empty() || test.is_some_and(DataLoader::is_empty) {
            return Err(Error::EmptyDataset { what: "Trainer" });
        }
        let mut history = History::default();
        for epoch in 1..=self.epochs {
            let mut progress = Progress {
                epoch,
                epochs: self.epochs,
                steps: train.len(),
                ..Progress::default()
            };
            let mut record = self.epoch(train, &mut progress, &mut history)?;
            if let Some(test) = test {
                let evaluation = evaluate(self.net.as_ref(), test, &self.device)?;
                (record.test_loss, record.test_accuracy) =
                    (Some(evaluation.loss), Some(evaluation.accuracy));
            }
            history.epochs.push(record);
            let EpochRecord {
                test_loss,
                test_accuracy,
                ..
            } = record;
            let done = epoch == self.epochs;
            self.report(&Progress {
                test_loss,
                test_accuracy,
                epoch_done: true,
                done,
                ..progress
            });
        }
        Ok(history)
    }

    fn epoch(
        &mut self,
        train: &DataLoader,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<EpochRecord> {
        let start = Instant::now();
        let epoch = progress.epoch;
        let (mut images_seen, mut images_right, mut loss_sum) = (0, 0, 0.0);
        for (i, batch) in train.iter()?.enumerate() {
            let Batch { images, targets } = batch?;
            let n = targets.dim(0)?;
            let (loss, correct) = self.step(&images, &targets)?;
            images_seen += n;
            images_right += correct;
            loss_sum += loss * n as f64;
            let accuracy = correct as f64 / n as f64;
            history.steps.push(StepRecord {
                step: history.steps.len() + 1,
                epoch,
                loss,
                accuracy,
            });
            *progress = Progress {
                step: i + 1,
                loss: loss_sum / images_seen as f64,
                accuracy: images_right as f64 / images_seen as f64,
                images_per_second: images_seen as f64 / start.elapsed().as_secs_f64(),
                ..*progress
            };
            self.report(progress);
        }
        Ok(EpochRecord {
            epoch,
            train_loss: progress.loss,
            train_accuracy: progress.accuracy,
            test_loss: None,
            test_accuracy: None,
            seconds: start.elapsed().as_secs_f64(),
            images: images_seen,
        })
    }

    /// One batch: its loss and how many the net got right, both before the step.
    fn step(
        &mut self,
        images: &candle_core::Tensor,
        targets: &candle_core::Tensor,
    ) -> Result<(f64, usize)> {
        let on_device = targets.to_device(&self.device)?;
        let logits = self.net.forward(&images.to_device(&self.device)?)?;
        let loss = self.criterion.forward(&logits, &on_device)?;
        if loss.rank() != 0 {
            return Err(Error::WrongShape {
                layer: "Trainer",
                what: "loss",
                got: loss.dims().to_vec(),
                expected: "(), one number".into(),
                cure: "build the criterion with the reduction mean".into(),
            });
        }
        let gradients = loss.backward()?;
        self.optimizer.step(&gradients)?;
        let loss = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
        let predictions = Logits::read(&logits, targets.dim(0)?)?.predictions();
        Ok((loss, right(&predictions, &targets.to_vec1::<i64>()?)))
    }

    fn report(&mut self, progress: &Progress) {
        if let Some(callback) = &mut self.on_progress {
            callback(progress);
        }
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = device::name(&self.device);
        write!(
            f,
            "Trainer({} parameters on {device}, epochs={})",
            self.net.parameter_count(),
            self.epochs
        )
    }
}

/// Options of [`Trainer`].
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `net` | required | what is trained; pass a clone to keep using it | has parameters |
/// | `criterion` | required | the loss | its reduction gives one number |
/// | `optimizer` | required | changes the net's parameters | made of `net.parameters()` |
/// | `device` | the net's | where batches go | the device that the net is on |
/// | `epochs` | 1 | passes over the training set | at least 1 |
/// | `on_progress` | nothing | is told where the run stands, after each step | |
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let criterion = CrossEntropyLoss::builder().build()?;
/// let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
/// let trainer = Trainer::builder(net, criterion, sgd)
///     .epochs(3)
///     .on_progress(|progress| println!("{progress}"))
///     .build()?;
/// assert!(trainer.device().is_cpu());
/// # Ok(())
/// # }
/// ```
pub struct TrainerBuilder {
    net: Box<dyn Network + Send>,
    criterion: CrossEntropyLoss,
    optimizer: Box<dyn Optimizer + Send>,
    device: Option<Device>,
    epochs: usize,
    on_progress: Option<Callback>,
}

impl TrainerBuilder {
    /// Where batches go.
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Passes over the training set.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Is told where the run stands: after each step, and after each epoch's evaluation.
    pub fn on_progress(mut self, callback: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// The trainer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where `epochs` is 0, the net has no parameters, or `device` is
    /// another device than the net's.
    pub fn build(self) -> Result<Trainer> {
        let refuse = |parameter, value: &str, problem: String| {
            Err(Error::InvalidParameter {
                layer: "Trainer",
                parameter,
                value: value.into(),
                problem,
            })
        };
        if self.epochs == 0 {
            return refuse("epochs", "0", "must be at least 1".into());
        }
        let parameters = self.net.named_parameters();
        let Some((name, first)) = parameters.first() else {
            return refuse(
                "net",
                "a net without parameters",
                "has nothing to train; list them in named_parameters".into(),
            );
        };
        let device = self.device.unwrap_or_else(|| first.device().clone());
        if !device.same_device(first.device()) {
            let there = device::name(first.device());
            let problem =
                format!("but the net's {name} is on {there}; give the same device to var_builder");
            return refuse("device", device::name(&device), problem);
        }
        let Self {
            net,
            criterion,
            optimizer,
            epochs,
            on_progress,
            ..
        } = self;
        Ok(Trainer {
            net,
            criterion,
            optimizer,
            device,
            epochs,
            on_progress,
        })
    }
}

impl fmt::Debug for TrainerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TrainerBuilder({} parameters, epochs={})",
            self.net.parameter_count(),
            self.epochs
        )
    }
}
