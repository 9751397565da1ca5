//! Schedules: how the learning rate changes with the epochs, or with the steps. Equivalents of
//! `torch.optim.lr_scheduler`.

mod cosine_annealing_lr;
mod course;
mod exponential_lr;
mod linear_lr;
mod multi_step_lr;
mod one_cycle_lr;
mod step_lr;

pub use cosine_annealing_lr::{CosineAnnealingLr, CosineAnnealingLrBuilder};
pub use exponential_lr::{ExponentialLr, ExponentialLrBuilder};
pub use linear_lr::{LinearLr, LinearLrBuilder};
pub use multi_step_lr::{MultiStepLr, MultiStepLrBuilder};
pub use one_cycle_lr::{AnnealStrategy, OneCycleLr, OneCycleLrBuilder};
pub use step_lr::{StepLr, StepLrBuilder};

use super::Optimizer;
use crate::Result;
use crate::state::StateDict;

/// What sets the learning rate of an [`Optimizer`]. Equivalent of
/// `torch.optim.lr_scheduler.LRScheduler`.
///
/// An epoch is what one [`step`](Self::step) ends: an epoch of training for most, one batch for
/// [`OneCycleLr`]. A [`Trainer`](crate::train::Trainer) takes a schedule and steps it by itself.
///
/// # Differences from PyTorch
///
/// PyTorch's schedulers keep the optimizer and take the first learning rate from it. Here it belongs to
/// the loop: the schedule is given the first learning rate, the optimizer is built with the schedule's
/// [`lr`](Self::lr) (or [`apply`](Self::apply) sets it), and [`step`](Self::step) is given the optimizer.
/// A learning rate that was set by hand in between holds until the next step, and no longer. There is no
/// argument `last_epoch`: a schedule that goes on is given its state, with
/// [`load_state_dict`](Self::load_state_dict).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut schedule = StepLr::builder(0.1, 2).gamma(0.5).build()?;
/// let mut sgd = Sgd::builder(vec![x.clone()], schedule.lr()).build()?;
/// let mut rates = vec![];
/// for _epoch in 0..5 {
///     rates.push(sgd.lr());
///     sgd.step(&x.sqr()?.backward()?)?;
///     schedule.step(&mut sgd)?;
/// }
/// assert_eq!(rates, [0.1, 0.1, 0.05, 0.05, 0.025]);
/// # Ok(())
/// # }
/// ```
pub trait Schedule {
    /// The learning rate of this epoch. Equivalent of `get_last_lr()[0]`.
    fn lr(&self) -> f64;

    /// The epoch, from 0: how many steps were taken.
    fn last_epoch(&self) -> usize;

    /// Goes on to the next epoch, without telling an optimizer: to look ahead, or to draw the curve.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where the schedule has an end and
    /// this is beyond it.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let mut schedule = ExponentialLr::builder(1.0, 0.5).build()?;
    /// schedule.advance()?;
    /// assert_eq!((schedule.last_epoch(), schedule.lr()), (1, 0.5));
    /// # Ok(())
    /// # }
    /// ```
    fn advance(&mut self) -> Result<()>;

    /// Sets what the optimizer is to use in this epoch. Call it before the first step; PyTorch's
    /// schedulers do it when they are made.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where the schedule sets something
    /// that the optimizer does not have.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let schedule = LinearLr::builder(0.1).start_factor(0.5).build()?;
    /// let x = Var::new(1f32, &Device::Cpu)?;
    /// let mut adam = Adam::builder(vec![x]).build()?;
    /// schedule.apply(&mut adam)?;
    /// assert_eq!(adam.lr(), 0.05);
    /// # Ok(())
    /// # }
    /// ```
    fn apply(&self, optimizer: &mut dyn Optimizer) -> Result<()> {
        optimizer.set_lr(self.lr());
        Ok(())
    }

    /// Ends an epoch: goes on to the next and sets the optimizer's learning rate. Equivalent of
    /// `scheduler.step()`.
    ///
    /// # Errors
    ///
    /// Those of [`advance`](Self::advance) and [`apply`](Self::apply).
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.advance()?;
        self.apply(optimizer)
    }

    /// Where the schedule stands, and its parameters. Equivalent of `state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where there is no memory.
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes what [`state_dict`](Self::state_dict) gave, the parameters too. Equivalent of
    /// `load_state_dict`; like that it does not tell the optimizer, which has a state of its own.
    ///
    /// # Errors
    ///
    /// [`Error::WrongState`](crate::Error::WrongState), which names the entry;
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range. Then nothing has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let mut schedule = StepLr::builder(0.1, 1).build()?;
    /// schedule.advance()?;
    /// let mut other = StepLr::builder(0.5, 7).build()?;
    /// other.load_state_dict(&schedule.state_dict()?)?;
    /// assert_eq!(other.lr(), schedule.lr());
    /// # Ok(())
    /// # }
    /// ```
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

impl<T: Schedule + ?Sized> Schedule for Box<T> {
    fn lr(&self) -> f64 {
        (**self).lr()
    }

    fn last_epoch(&self) -> usize {
        (**self).last_epoch()
    }

    fn advance(&mut self) -> Result<()> {
        (**self).advance()
    }

    fn apply(&self, optimizer: &mut dyn Optimizer) -> Result<()> {
        (**self).apply(optimizer)
    }

    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        (**self).step(optimizer)
    }

    fn state_dict(&self) -> Result<StateDict> {
        (**self).state_dict()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        (**self).load_state_dict(state)
    }
}
