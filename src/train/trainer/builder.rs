use std::fmt;
use std::path::PathBuf;

use candle_core::Device;

use super::{Callback, Every, Scheduled, Trainer};
use crate::distributed::{ProcessGroup, Reducer};
use crate::loss::CrossEntropyLoss;
use crate::nn::Network;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use crate::train::{Precision, Progress, device};
use crate::{Error, Result};

/// Options of [`Trainer`].
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `net` | required | what is trained; pass a clone to keep using it | has parameters |
/// | `criterion` | required | the loss | its reduction gives one number |
/// | `optimizer` | required | changes the net's parameters | made of `net.parameters()` |
/// | `device` | the net's | where batches go | the device that the net is on |
/// | `epochs` | 1 | passes over the training set | at least 1 |
/// | `float32_matmul_precision` | `Highest` | the precision in which a CUDA card multiplies | `Highest`; others where `Trainer` captures the step |
/// | `schedule` | none | what sets the learning rate, and whether each step or each epoch | |
/// | `checkpoint` | none | a file to be written after each epoch, to go on from | |
/// | `process_group` | none | the other processes that train the same net | on the net's device |
/// | `on_progress` | nothing | is told where the run stands, after each step | any number |
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
    net: Box<dyn Network>,
    criterion: CrossEntropyLoss,
    optimizer: Box<dyn Optimizer + Send>,
    device: Option<Device>,
    epochs: usize,
    precision: Precision,
    schedule: Option<Scheduled>,
    checkpoint: Option<PathBuf>,
    group: Option<ProcessGroup>,
    on_progress: Vec<Callback>,
}

impl TrainerBuilder {
    pub(super) fn new(
        net: Box<dyn Network>,
        criterion: CrossEntropyLoss,
        optimizer: Box<dyn Optimizer + Send>,
    ) -> Self {
        Self {
            net,
            criterion,
            optimizer,
            device: None,
            epochs: 1,
            precision: Precision::default(),
            schedule: None,
            checkpoint: None,
            group: None,
            on_progress: Vec::new(),
        }
    }

    /// Where batches go. On another device than the CPU a data set whose images are bytes
    /// ([`Dataset::raw`](crate::data::Dataset::raw)) is kept there whole, where they take at most a quarter of a CUDA
    /// card's free memory, or 1 GiB on a Metal device; a batch then moves no images.
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// The other processes that train the same net, each with its share of the images. All begin with rank 0's
    /// parameters; gradients are averaged over the ranks, in buckets that travel while the backward pass goes on; losses
    /// and accuracies are those of all ranks' batches together. Each rank evaluates its share of the test set. Rank 0
    /// alone reports progress and writes checkpoints; every rank [`resume`](Trainer::resume)s from its file.
    ///
    /// The train loader needs a [`DistributedSampler`](crate::distributed::DistributedSampler), whose epoch the trainer
    /// sets. `batch_size` is each rank's own, as in PyTorch: two ranks at 32 take the steps of one at 64.
    pub fn process_group(mut self, group: &ProcessGroup) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// Passes over the training set.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// As what numbers are multiplied in convolutions and fully connected layers: `High` and `Medium` are for tensor
    /// cores, which have less precision and are faster. For training alone; an evaluation computes in f32.
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
    /// let trainer = Trainer::builder(net, criterion, sgd).float32_matmul_precision(Precision::High);
    /// assert_eq!(
    ///     trainer.build().unwrap_err().to_string(),
    ///     "Trainer: float32_matmul_precision=high needs a CUDA card, and the net is on cpu; \
    ///      give a card to var_builder or leave the precision at highest"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn float32_matmul_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// What sets the learning rate, from the first step on, and how often it goes on: PyTorch's
    /// `scheduler.step()` after each epoch, or after each batch as [`OneCycleLr`] needs it.
    ///
    /// [`OneCycleLr`]: crate::optim::schedule::OneCycleLr
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let criterion = CrossEntropyLoss::builder().build()?;
    /// let adam = Adam::builder(net.parameters()).build()?;
    /// let test = Mnist::builder("data").train(false).build()?;
    /// let loader = DataLoader::builder(Subset::new(test, (0..640).collect())?).batch_size(64).build()?;
    /// let schedule = OneCycleLr::builder_with_epochs(0.01, 2, loader.len()).build()?;
    ///
    /// let mut trainer = Trainer::builder(net, criterion, adam)
    ///     .epochs(2)
    ///     .schedule(schedule, Every::Step)
    ///     .build()?;
    /// assert_eq!(trainer.fit(&loader, None)?.steps.len(), 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule(mut self, schedule: impl Schedule + Send + 'static, every: Every) -> Self {
        self.schedule = Some(Scheduled {
            schedule: Box::new(schedule),
            every,
        });
        self
    }

    /// A file to be written after each epoch, for [`Trainer::resume`].
    ///
    /// Whenever the process is killed, the file is the last epoch's or the one's before, whole.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Is told where the run stands: after each step, and after each epoch's evaluation. May be called
    /// several times: then each is told, in this order.
    pub fn on_progress(mut self, callback: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.on_progress.push(Box::new(callback));
        self
    }

    /// The trainer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where `epochs` is 0, the net has no parameters, `device` or the process
    /// group's device is another one than the net's, `float32_matmul_precision` is not `Highest` and the net
    /// is not on a CUDA card, or the schedule sets what the optimizer does not have. Of several processes
    /// also what fails when rank 0's parameters are sent to the others.
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
            return refuse("device", &device::name(&device), problem);
        }
        if self.precision != Precision::Highest && !device.is_cuda() {
            let problem = format!(
                "needs a CUDA card, and the net is on {}; give a card to var_builder or leave the precision at highest",
                device::name(&device)
            );
            return refuse(
                "float32_matmul_precision",
                &self.precision.to_string(),
                problem,
            );
        }
        let Self {
            net,
            criterion,
            mut optimizer,
            epochs,
            precision,
            schedule,
            checkpoint,
            group,
            on_progress,
            ..
        } = self;
        if let Some(group) = &group
            && !group.device().same_device(&device)
        {
            let problem = format!(
                "carries tensors of {}, and the net is on {}; give group.device() to var_builder",
                group.device().name(),
                device::name(&device)
            );
            return refuse("process_group", &group.to_string(), problem);
        }
        let reducer = group.map(|group| Reducer::new(group, net.parameters()));
        let reducer = reducer.transpose()?;
        if let Some(Scheduled { schedule, .. }) = &schedule {
            schedule.apply(optimizer.as_mut())?;
        }
        Ok(Trainer {
            net,
            criterion,
            optimizer,
            device,
            epochs,
            precision,
            schedule,
            checkpoint,
            reducer,
            resumed: None,
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
