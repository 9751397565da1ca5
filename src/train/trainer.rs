use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::awake::awake;
use super::resident::Resident;
use super::{Checkpoint, EpochRecord, History, Precision, Progress, device};
use crate::data::DataLoader;
use crate::distributed::Reducer;
use crate::loss::CrossEntropyLoss;
use crate::nn::Network;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use crate::{Error, Result};

mod builder;
#[cfg(feature = "cuda")]
mod captured;
mod epoch;
mod every;
#[cfg(feature = "cuda")]
mod fed;
mod ranks;
#[cfg(feature = "cuda")]
mod steps;

pub use builder::TrainerBuilder;
use epoch::OnDevice;
pub use every::Every;
use every::Scheduled;

type Callback = Box<dyn FnMut(&Progress) + Send>;

/// The training loop: for each batch forward, loss, backward, step; after each epoch an evaluation.
///
/// It prints nothing; what it does comes through
/// [`on_progress`](TrainerBuilder::on_progress) and the [`History`].
///
/// # On a CUDA card
///
/// A step is captured as a CUDA graph, which the card repeats for every batch by itself, where
///
/// - the net [lists its layers](Network::layers), and they are convolutions of one group with padding by zeros, ReLUs,
///   poolings of 2×2, and at the end fully connected layers, all of f32;
/// - the optimizer is one of this crate's and has just the net's parameters, and the loss's reduction is the mean.
///
/// Everything else is trained layer by layer, with the same results but for rounding. `on_progress` is told of a captured
/// step up to 128 steps after it has run. Where the card keeps the images ([`Dataset::raw`](crate::data::Dataset::raw)), an
/// epoch's order, learning rates and targets are there before it begins; else each batch is copied there while the steps
/// before it run. With a process group over NCCL, each rank's graph averages the gradients with the others'.
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
    net: Box<dyn Network>,
    criterion: CrossEntropyLoss,
    optimizer: Box<dyn Optimizer + Send>,
    device: Device,
    epochs: usize,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code))]
    precision: Precision,
    schedule: Option<Scheduled>,
    checkpoint: Option<PathBuf>,
    /// Where it is one of several processes.
    reducer: Option<Reducer>,
    /// What the next `fit` goes on from.
    resumed: Option<Checkpoint>,
    on_progress: Vec<Callback>,
}

impl Trainer {
    /// A trainer of `net`, whose parameters `optimizer` changes.
    pub fn builder(
        net: impl Network + 'static,
        criterion: CrossEntropyLoss,
        optimizer: impl Optimizer + Send + 'static,
    ) -> TrainerBuilder {
        TrainerBuilder::new(Box::new(net), criterion, Box::new(optimizer))
    }

    /// The device that it trains on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Goes back to where a checkpoint was written: parameters, optimizer, schedule, the global generator. The
    /// next [`fit`](Self::fit) trains the epochs that are left of `epochs`, to the last bit as if the run
    /// had never stopped, and its history begins with the checkpoint's.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`], [`Error::CorruptFile`], [`Error::Io`]; [`Error::WrongState`], which names
    /// the entry, where the checkpoint is of another network, optimizer or schedule. Then nothing has
    /// changed.
    ///
    /// # Example
    ///
    /// A script that goes on where it was stopped:
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// # let path = std::env::temp_dir().join("candlelight-doc-resume.safetensors");
    /// # std::fs::remove_file(&path).ok();
    /// # for run in 0..2 {
    /// manual_seed(0);
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let criterion = CrossEntropyLoss::builder().build()?;
    /// let adam = Adam::builder(net.parameters()).build()?;
    /// let test = Mnist::builder("data").train(false).build()?;
    /// let loader = DataLoader::builder(Subset::new(test, (0..640).collect())?).batch_size(64).build()?;
    ///
    /// let mut trainer = Trainer::builder(net, criterion, adam)
    ///     .epochs(2)
    ///     .checkpoint(&path)
    ///     .build()?;
    /// if path.exists() {
    ///     trainer.resume(&path)?;
    /// }
    /// let history = trainer.fit(&loader, None)?;
    /// assert_eq!(history.epochs.len(), 2);
    /// # }
    /// # std::fs::remove_file(path).ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let checkpoint = Checkpoint::load(&path)?;
        let schedule = self.schedule.as_mut();
        let schedule = schedule.map(|scheduled| &mut *scheduled.schedule as &mut dyn Schedule);
        checkpoint.restore(self.net.as_ref(), self.optimizer.as_mut(), schedule)?;
        if let Some(group) = self.group() {
            group.checkpoint_written(path.as_ref(), checkpoint.epoch)?;
        }
        self.resumed = Some(checkpoint);
        Ok(())
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
    /// not give (N, classes) or the criterion not one number, [`Error::Io`] where a checkpoint cannot be
    /// written, [`Error::WrongState`] where it goes on from a checkpoint whose loaders had other kinds of
    /// generators, [`Error::InvalidParameter`] where the precision is not `Highest` and the card does not
    /// capture the step, and what data set, net, criterion, optimizer and schedule return. Of several processes:
    /// [`Error::InvalidParameter`] where the loader does not give each rank a share of its own, and
    /// [`Error::RankFailed`], which holds any other.
    pub fn fit(&mut self, train: &DataLoader, test: Option<&DataLoader>) -> Result<History> {
        let result = match self.device.is_cpu() {
            true => awake(|| self.fit_here(train, test)),
            false => self.fit_here(train, test),
        };
        match &self.reducer {
            Some(reducer) => result.map_err(|error| reducer.group().failed(error)),
            None => result,
        }
    }

    fn fit_here(&mut self, train: &DataLoader, test: Option<&DataLoader>) -> Result<History> {
        if train.is_empty() || test.is_some_and(DataLoader::is_empty) {
            return Err(Error::EmptyDataset { what: "Trainer" });
        }
        self.expect_share(train)?;
        let mut on_device = OnDevice::new(self, train, test)?;
        // Taken only when the loaders fit: after an error it can be tried again with others.
        if let Some(checkpoint) = &self.resumed {
            checkpoint.restore_loaders(train, test)?;
        }
        let resumed = self.resumed.take();
        let (behind, mut history) = resumed.map_or_else(Default::default, |checkpoint| {
            (checkpoint.epoch, checkpoint.history)
        });
        for epoch in behind + 1..=self.epochs {
            let mut progress = Progress {
                epoch,
                epochs: self.epochs,
                steps: train.len(),
                ..Progress::default()
            };
            let mut record = self.epoch(train, &mut on_device, &mut progress, &mut history)?;
            if let Some(test) = test {
                let (loss, accuracy) = self.evaluate(test, &mut on_device)?;
                (record.test_loss, record.test_accuracy) = (Some(loss), Some(accuracy));
            }
            self.go_on(Every::Epoch)?;
            history.epochs.push(record);
            self.write_checkpoint(epoch, &history, (train, test))?;
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

    /// The images on the device, where it is not the CPU and they fit.
    fn resident(&self, loader: Option<&DataLoader>) -> Result<Option<Resident>> {
        match loader {
            Some(loader) if !self.device.is_cpu() => Resident::new(loader, &self.device),
            _ => Ok(None),
        }
    }

    /// The schedule's next learning rate, where it is due.
    fn go_on(&mut self, now: Every) -> Result<()> {
        match &mut self.schedule {
            Some(Scheduled { schedule, every }) if *every == now => {
                schedule.step(self.optimizer.as_mut())
            }
            _ => Ok(()),
        }
    }

    fn write_checkpoint(
        &self,
        epoch: usize,
        history: &History,
        loaders: (&DataLoader, Option<&DataLoader>),
    ) -> Result<()> {
        let Some(path) = &self.checkpoint else {
            return Ok(());
        };
        if self.group().is_none_or(|group| group.rank() == 0) {
            self.checkpoint(epoch, history, loaders)?.save(path)?;
        }
        match self.group() {
            Some(group) => group.checkpoint_written(path, epoch),
            None => Ok(()),
        }
    }

    fn checkpoint(
        &self,
        epoch: usize,
        history: &History,
        (train, test): (&DataLoader, Option<&DataLoader>),
    ) -> Result<Checkpoint> {
        let schedule = self.schedule.as_ref();
        let schedule = schedule.map(|scheduled| &*scheduled.schedule as &dyn Schedule);
        let checkpoint = Checkpoint::new(self.net.as_ref(), self.optimizer.as_ref(), schedule)?;
        let checkpoint = checkpoint.epoch(epoch).loaders(train, test);
        Ok(checkpoint.history(history.clone()))
    }

    fn report(&mut self, progress: &Progress) {
        if self.group().is_some_and(|group| group.rank() > 0) {
            return;
        }
        for callback in &mut self.on_progress {
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
