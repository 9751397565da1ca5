//! The learning rate falls every so many epochs.

use super::Schedule;
use super::course::{CURE, Course, finite, rate};
use crate::Result;
use crate::error::invalid;
use crate::state::{Reader, StateDict};

const NAME: &str = "StepLr";

/// After every `step_size` epochs the learning rate is multiplied by `gamma`. Equivalent of
/// `torch.optim.lr_scheduler.StepLR`.
///
/// `lr = base_lr · gamma^⌊epoch / step_size⌋`, multiplied step by step.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `base_lr` |  | the learning rate of epoch 0 | ≥ 0 |
/// | `step_size` |  | epochs between two changes | ≥ 1 |
/// | `gamma` | 0.1 | the factor | any number |
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`](crate::Error::InvalidParameter).
///
/// # Differences from PyTorch
///
/// `base_lr` is given here, not taken from the optimizer; see [`Schedule`]. `step_size=0` is refused when
/// built, not at the first step.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut schedule = StepLr::builder(0.1, 2).gamma(0.5).build()?;
/// let mut rates = vec![schedule.lr()];
/// for _ in 0..4 {
///     schedule.advance()?;
///     rates.push(schedule.lr());
/// }
/// assert_eq!(rates, [0.1, 0.1, 0.05, 0.05, 0.025]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StepLr {
    parameters: StepLrBuilder,
    course: Course,
}

/// The parameters of a [`StepLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = StepLr::builder(0.1, 0).build().unwrap_err();
/// assert_eq!(error.to_string(), "StepLr: step_size=0 must be at least 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StepLrBuilder {
    base_lr: f64,
    step_size: usize,
    gamma: f64,
}

impl StepLrBuilder {
    /// The factor; 0.1 unless set.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    fn check(&self) -> Result<()> {
        rate(NAME, "base_lr", self.base_lr)?;
        finite(NAME, [("gamma", self.gamma)])?;
        match self.step_size {
            0 => invalid(NAME, "step_size", 0, "must be at least 1"),
            _ => Ok(()),
        }
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<StepLr> {
        self.check()?;
        let course = Course::new(self.base_lr);
        Ok(StepLr {
            parameters: self,
            course,
        })
    }

    fn next(&self, epoch: usize, lr: f64) -> f64 {
        match epoch % self.step_size {
            0 => lr * self.gamma,
            _ => lr,
        }
    }
}

impl StepLr {
    /// The parameters of the schedule; `gamma` is set on what it returns.
    pub fn builder(base_lr: f64, step_size: usize) -> StepLrBuilder {
        StepLrBuilder {
            base_lr,
            step_size,
            gamma: 0.1,
        }
    }
}

impl Schedule for StepLr {
    fn lr(&self) -> f64 {
        self.course.lr
    }

    fn last_epoch(&self) -> usize {
        self.course.last_epoch
    }

    fn advance(&mut self) -> Result<()> {
        let parameters = &self.parameters;
        self.course.go(|epoch, lr| parameters.next(epoch, lr));
        Ok(())
    }

    fn state_dict(&self) -> Result<StateDict> {
        let parameters = &self.parameters;
        self.course.state_dict(&[
            ("base_lr", parameters.base_lr),
            ("step_size", parameters.step_size as f64),
            ("gamma", parameters.gamma),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let parameters = StepLrBuilder {
            base_lr: reader.number("base_lr")?,
            step_size: reader.count("step_size")? as usize,
            gamma: reader.number("gamma")?,
        };
        parameters.check()?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
