//! The learning rate falls with every epoch.

use super::Schedule;
use super::course::{CURE, Course, finite, rate};
use crate::Result;
use crate::state::{Reader, StateDict};

const NAME: &str = "ExponentialLr";

/// After each epoch the learning rate is multiplied by `gamma`. Equivalent of
/// `torch.optim.lr_scheduler.ExponentialLR`.
///
/// `lr = base_lr · gamma^epoch`, multiplied step by step.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `base_lr` |  | the learning rate of epoch 0 | ≥ 0 |
/// | `gamma` |  | the factor | any number |
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`](crate::Error::InvalidParameter).
///
/// # Differences from PyTorch
///
/// `base_lr` is given here, not taken from the optimizer; see [`Schedule`].
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut schedule = ExponentialLr::builder(0.1, 0.5).build()?;
/// schedule.advance()?;
/// schedule.advance()?;
/// assert_eq!(schedule.lr(), 0.025);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialLr {
    parameters: ExponentialLrBuilder,
    course: Course,
}

/// The parameters of an [`ExponentialLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = ExponentialLr::builder(-0.1, 0.9).build().unwrap_err();
/// assert_eq!(error.to_string(), "ExponentialLr: base_lr=-0.1 must be a number of at least 0");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialLrBuilder {
    base_lr: f64,
    gamma: f64,
}

impl ExponentialLrBuilder {
    fn check(&self) -> Result<()> {
        rate(NAME, "base_lr", self.base_lr)?;
        finite(NAME, [("gamma", self.gamma)])
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<ExponentialLr> {
        self.check()?;
        let course = Course::new(self.base_lr);
        Ok(ExponentialLr {
            parameters: self,
            course,
        })
    }

    fn next(&self, _: usize, lr: f64) -> f64 {
        lr * self.gamma
    }
}

impl ExponentialLr {
    /// The parameters of the schedule; there are no others.
    pub fn builder(base_lr: f64, gamma: f64) -> ExponentialLrBuilder {
        ExponentialLrBuilder { base_lr, gamma }
    }
}

impl Schedule for ExponentialLr {
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
        self.course
            .state_dict(&[("base_lr", parameters.base_lr), ("gamma", parameters.gamma)])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let parameters = ExponentialLrBuilder {
            base_lr: reader.number("base_lr")?,
            gamma: reader.number("gamma")?,
        };
        parameters.check()?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
