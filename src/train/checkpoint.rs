//! All that a training run needs to go on.

mod file;
mod records;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::History;
use crate::data::DataLoader;
use crate::nn::Network;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use crate::random::{Generator, with_global};
use crate::state::StateDict;
use crate::{Error, Result};

/// What is told of each checkpoint that is written: its file, and how many epochs are done.
type Hook = Box<dyn FnMut(&Path, usize) + Send>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// All that a training run needs to go on, to the last bit, as if it had never stopped: parameters,
/// optimizer, schedule, epoch, the global generator and the loaders' own, and the history so far.
///
/// A [`Trainer`](super::Trainer) writes one after each epoch where
/// [`checkpoint`](super::TrainerBuilder::checkpoint) names a file, and goes on from it with
/// [`resume`](super::Trainer::resume). This is what a loop of one's own uses.
///
/// # Differences from PyTorch
///
/// Where a PyTorch script gathers the state dicts in a dict for `torch.save`, this is that dict. The file
/// is safetensors; the generator in it is what `torch.get_rng_state` returns.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// # let path = std::env::temp_dir().join("candlelight-doc-checkpoint.safetensors");
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let adam = Adam::builder(net.parameters()).lr(0.01).build()?;
/// Checkpoint::new(&net, &adam, None)?.epoch(7).save(&path)?;
///
/// // Another day:
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let mut adam = Adam::builder(net.parameters()).build()?;
/// let checkpoint = Checkpoint::load(&path)?;
/// checkpoint.restore(&net, &mut adam, None)?;
/// assert_eq!((checkpoint.epoch, adam.lr()), (7, 0.01));
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The parameters.
    pub net: StateDict,
    /// The optimizer's options and buffers.
    pub optimizer: StateDict,
    /// Where the schedule stands, where there is one.
    pub schedule: Option<StateDict>,
    /// How many epochs are done.
    pub epoch: usize,
    /// The global generator.
    pub generator: Generator,
    /// The own generators of the loaders for training and for the test, where they have one.
    pub loaders: [Option<Generator>; 2],
    /// Loss and accuracy so far.
    pub history: History,
}

impl Checkpoint {
    /// A copy of all this, and of the global generator, after no epochs and without a history.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`] where there is no memory.
    pub fn new(
        net: &dyn Network,
        optimizer: &dyn Optimizer,
        schedule: Option<&dyn Schedule>,
    ) -> Result<Self> {
        Ok(Self {
            net: net.state_dict()?,
            optimizer: optimizer.state_dict()?,
            schedule: schedule.map(Schedule::state_dict).transpose()?,
            epoch: 0,
            generator: with_global(|generator| generator.clone()),
            loaders: [None, None],
            history: History::default(),
        })
    }

    /// Sets how many epochs are done.
    pub fn epoch(mut self, epoch: usize) -> Self {
        self.epoch = epoch;
        self
    }

    /// Takes along the loaders' own generators; a loader that draws from the global one has none.
    pub fn loaders(mut self, train: &DataLoader, test: Option<&DataLoader>) -> Self {
        self.loaders = [Some(train), test].map(|loader| {
            let own = loader?.generator()?;
            Some(own.lock().unwrap_or_else(PoisonError::into_inner).clone())
        });
        self
    }

    /// Sets loss and accuracy so far.
    pub fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// Sets what is told of each checkpoint that this process writes from now on: its file, as named, and
    /// how many epochs are done. It takes the place of the one before, as with [`std::panic::set_hook`].
    /// The hook itself must neither save a checkpoint nor set a hook: it would wait for itself.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// Checkpoint::set_hook(|path, epoch| eprintln!("{} after epoch {epoch}", path.display()));
    /// ```
    pub fn set_hook(hook: impl FnMut(&Path, usize) + Send + 'static) {
        *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    /// Gives everything its state back, the global generator too.
    ///
    /// # Errors
    ///
    /// [`Error::WrongState`], which names the entry, where the network, the optimizer or the schedule is
    /// another one than was saved, or where only one side has a schedule. Then nothing has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let mut sgd = Sgd::builder(net.parameters(), 0.1).build()?;
    /// let checkpoint = Checkpoint::new(&net, &sgd, None)?;
    /// let large = LargeNet::new(var_builder(DType::F32, &Device::Cpu))?;
    /// assert!(checkpoint.restore(&large, &mut sgd, None).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore(
        &self,
        net: &dyn Network,
        optimizer: &mut dyn Optimizer,
        schedule: Option<&mut (dyn Schedule + '_)>,
    ) -> Result<()> {
        let schedule = match (schedule, &self.schedule) {
            (Some(schedule), Some(state)) => Some((schedule, state)),
            (None, None) => None,
            (here, _) => {
                let problem = match here {
                    Some(_) => "schedule is missing",
                    None => "schedule is there, but none to take it",
                };
                return Err(Error::WrongState {
                    owner: "Checkpoint".into(),
                    problem: problem.into(),
                    cure: "restore it into a run that is built as the saved one was",
                });
            }
        };
        // What was, in case that a later part does not fit.
        let (net_before, optimizer_before) = (net.state_dict()?, optimizer.state_dict()?);
        net.load_state_dict(&self.net)?;
        let rest = optimizer
            .load_state_dict(&self.optimizer)
            .and_then(|()| match schedule {
                Some((schedule, state)) => schedule.load_state_dict(state),
                None => Ok(()),
            });
        if let Err(error) = rest {
            net.load_state_dict(&net_before)?;
            optimizer.load_state_dict(&optimizer_before)?;
            return Err(error);
        }
        with_global(|generator| *generator = self.generator.clone());
        Ok(())
    }

    /// Gives the loaders' own generators their state back.
    ///
    /// # Errors
    ///
    /// [`Error::WrongState`] where only the loader, or only the checkpoint, has a generator of its own.
    /// Then nothing has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let sgd = Sgd::builder(net.parameters(), 0.1).build()?;
    /// let test = Mnist::builder("data").train(false).build()?;
    /// let loader = DataLoader::builder(test)
    ///     .batch_size(1000)
    ///     .shuffle(true)
    ///     .generator(Arc::new(Mutex::new(Generator::new(1))))
    ///     .build()?;
    /// let checkpoint = Checkpoint::new(&net, &sgd, None)?.loaders(&loader, None);
    /// let order = loader.iter()?.order().to_vec();
    /// checkpoint.restore_loaders(&loader, None)?;
    /// assert_eq!(loader.iter()?.order(), order);
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore_loaders(&self, train: &DataLoader, test: Option<&DataLoader>) -> Result<()> {
        let pairs = [Some(train), test].into_iter().zip(&self.loaders);
        let pairs: Vec<_> = pairs
            .filter_map(|(loader, saved)| Some((loader?.generator(), saved)))
            .collect();
        if pairs
            .iter()
            .any(|(own, saved)| own.is_some() != saved.is_some())
        {
            return Err(Error::WrongState {
                owner: "Checkpoint".into(),
                problem: "a loader has a generator of its own only here, or only there".into(),
                cure: "give the loaders the generators that the saved run's had",
            });
        }
        for (own, saved) in pairs {
            if let (Some(own), Some(saved)) = (own, saved) {
                *own.lock().unwrap_or_else(PoisonError::into_inner) = saved.clone();
            }
        }
        Ok(())
    }
}
