//! The learning rate rises, then falls; the momentum the other way round.

use super::Schedule;
use super::course::{CURE, Course, finite, rate};
use crate::Result;
use crate::error::invalid;
use crate::optim::Optimizer;
use crate::state::{Reader, StateDict};

mod builder;
mod phase;

pub use builder::OneCycleLrBuilder;
pub use phase::AnnealStrategy;

const NAME: &str = "OneCycleLr";

/// The learning rate rises from `max_lr / div_factor` to `max_lr`, then falls far below where it began; the
/// momentum falls and rises against it. Equivalent of `torch.optim.lr_scheduler.OneCycleLR`.
///
/// It is stepped after each batch, not after each epoch. With initial = max_lr / div_factor and
/// min = initial / final_div_factor the learning rate goes
///
/// | | until step | learning rate | momentum |
/// |---|---|---|---|
/// | two phases | pct_start·total_steps − 1 | initial → max_lr | max → base |
/// | | total_steps − 1 | max_lr → min | base → max |
/// | `three_phase` | pct_start·total_steps − 1 | initial → max_lr | max → base |
/// | | 2·pct_start·total_steps − 2 | max_lr → initial | base → max |
/// | | total_steps − 1 | initial → min | max |
///
/// along half a cosine or a line.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `max_lr` | | the highest learning rate | ≥ 0 |
/// | `total_steps` | | steps in the cycle; or `epochs` and `steps_per_epoch` | ≥ 1 |
/// | `pct_start` | 0.3 | the fraction of the cycle in which the learning rate rises | 0 to 1, with no phase of length 0 |
/// | `anneal_strategy` | `Cos` | along half a cosine, or along a line (`Linear`) | |
/// | `cycle_momentum` | true | whether the momentum changes too | needs a momentum or betas |
/// | `base_momentum` | 0.85 | the momentum at the highest learning rate | any number |
/// | `max_momentum` | 0.95 | the momentum at the ends | any number |
/// | `div_factor` | 25 | `max_lr` over the first learning rate | above 0 |
/// | `final_div_factor` | 1e4 | the first learning rate over the last | above 0 |
/// | `three_phase` | false | whether it first falls back to where it began, and then, in a third phase, to the last learning rate | |
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`](crate::Error::InvalidParameter). In
/// [`step`](Schedule::step): the same beyond `total_steps`, or where the momentum is to change and the
/// optimizer has none.
///
/// # Differences from PyTorch
///
/// `total_steps`, or `epochs` and `steps_per_epoch` in [`builder_with_epochs`](Self::builder_with_epochs), are
/// required arguments. A divisor that is not above 0 is refused. See [`Schedule`].
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut schedule = OneCycleLr::builder(0.1, 10).build()?;
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut sgd = Sgd::builder(vec![x], schedule.lr()).momentum(0.9).build()?;
/// schedule.apply(&mut sgd)?;
/// assert!((sgd.lr() - 0.1 / 25.0).abs() < 1e-12 && sgd.momentum() == Some(0.95));
/// for _batch in 0..2 {
///     schedule.step(&mut sgd)?;
/// }
/// assert_eq!((sgd.lr(), sgd.momentum()), (0.1, Some(0.85)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct OneCycleLr {
    parameters: OneCycleLrBuilder,
    course: Course,
}

impl OneCycleLr {
    /// The parameters of the schedule; the others are set on what it returns.
    pub fn builder(max_lr: f64, total_steps: usize) -> OneCycleLrBuilder {
        OneCycleLrBuilder::new(max_lr, builder::Steps::Total(total_steps))
    }

    /// As [`builder`](Self::builder), for as many epochs of as many steps.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let schedule = OneCycleLr::builder_with_epochs(0.1, 3, 938).build()?;
    /// assert_eq!(schedule.total_steps(), 2814);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_with_epochs(
        max_lr: f64,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> OneCycleLrBuilder {
        let steps = builder::Steps::Epochs {
            epochs,
            steps_per_epoch,
        };
        OneCycleLrBuilder::new(max_lr, steps)
    }

    /// Steps in the cycle.
    pub fn total_steps(&self) -> usize {
        self.parameters.total_steps()
    }

    /// The momentum of this step; none where it does not change.
    pub fn momentum(&self) -> Option<f64> {
        let parameters = &self.parameters;
        match parameters.cycle_momentum {
            true => parameters.momentum(self.course.last_epoch),
            false => None,
        }
    }
}

impl Schedule for OneCycleLr {
    fn lr(&self) -> f64 {
        self.course.lr
    }

    fn last_epoch(&self) -> usize {
        self.course.last_epoch
    }

    fn advance(&mut self) -> Result<()> {
        let total_steps = self.total_steps();
        let next = self.course.last_epoch.saturating_add(1);
        if next > total_steps {
            let problem = format!("is used up: this was step {next}; build it with more steps");
            return invalid(NAME, "total_steps", total_steps, problem);
        }
        self.course = Course {
            last_epoch: next,
            lr: self.parameters.lr(next)?,
        };
        Ok(())
    }

    fn apply(&self, optimizer: &mut dyn Optimizer) -> Result<()> {
        if let Some(momentum) = self.momentum() {
            if optimizer.momentum().is_none() {
                let problem = "needs an optimizer with a momentum or betas; set it to false";
                return invalid(NAME, "cycle_momentum", true, problem);
            }
            optimizer.set_momentum(momentum)?;
        }
        optimizer.set_lr(self.course.lr);
        Ok(())
    }

    fn state_dict(&self) -> Result<StateDict> {
        self.course.state_dict(&self.parameters.named())
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let parameters = OneCycleLrBuilder::read(&reader)?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
