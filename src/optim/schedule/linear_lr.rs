//! The learning rate rises or falls along a line.

use super::Schedule;
use super::course::{CURE, Course, rate};
use crate::Result;
use crate::error::invalid;
use crate::state::{Reader, StateDict};

const NAME: &str = "LinearLr";

/// The learning rate goes from one fraction of `base_lr` to another along a line, then stays: a warm-up.
/// Equivalent of `torch.optim.lr_scheduler.LinearLR`.
///
/// `lr = base_lr · (start_factor + (end_factor − start_factor) · min(epoch, total_iters) / total_iters)`,
/// each epoch's computed from the one before, as in PyTorch.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `base_lr` |  | the learning rate that the factors multiply | ≥ 0 |
/// | `start_factor` | 1/3 | the factor of epoch 0 | above 0, at most 1 |
/// | `end_factor` | 1 | the factor from epoch `total_iters` on | 0 to 1 |
/// | `total_iters` | 5 | epochs until it stays | any; with 0 it stays at `start_factor` |
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
/// let mut schedule = LinearLr::builder(0.1).start_factor(0.5).total_iters(2).build()?;
/// let mut rates = vec![schedule.lr()];
/// for _ in 0..3 {
///     schedule.advance()?;
///     rates.push(schedule.lr());
/// }
/// assert_eq!(rates, [0.05, 0.07500000000000001, 0.1, 0.1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLr {
    parameters: LinearLrBuilder,
    course: Course,
}

/// The parameters of a [`LinearLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = LinearLr::builder(0.1).start_factor(0.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "LinearLr: start_factor=0 must be above 0 and at most 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLrBuilder {
    base_lr: f64,
    start_factor: f64,
    end_factor: f64,
    total_iters: usize,
}

impl LinearLrBuilder {
    /// The factor of epoch 0; 1/3 unless set.
    pub fn start_factor(mut self, start_factor: f64) -> Self {
        self.start_factor = start_factor;
        self
    }

    /// The factor from epoch `total_iters` on; 1 unless set.
    pub fn end_factor(mut self, end_factor: f64) -> Self {
        self.end_factor = end_factor;
        self
    }

    /// Epochs until the learning rate stays; 5 unless set.
    pub fn total_iters(mut self, total_iters: usize) -> Self {
        self.total_iters = total_iters;
        self
    }

    fn check(&self) -> Result<()> {
        rate(NAME, "base_lr", self.base_lr)?;
        if !(self.start_factor > 0.0 && self.start_factor <= 1.0) {
            let problem = "must be above 0 and at most 1";
            return invalid(NAME, "start_factor", self.start_factor, problem);
        }
        if !(0.0..=1.0).contains(&self.end_factor) {
            return invalid(NAME, "end_factor", self.end_factor, "must be 0 to 1");
        }
        Ok(())
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<LinearLr> {
        self.check()?;
        let course = Course::new(self.base_lr * self.start_factor);
        Ok(LinearLr {
            parameters: self,
            course,
        })
    }

    fn next(&self, epoch: usize, lr: f64) -> f64 {
        if epoch > self.total_iters {
            return lr;
        }
        let way = self.end_factor - self.start_factor;
        let before = self.total_iters as f64 * self.start_factor + (epoch - 1) as f64 * way;
        lr * (1.0 + way / before)
    }
}

impl LinearLr {
    /// The parameters of the schedule; the others are set on what it returns.
    pub fn builder(base_lr: f64) -> LinearLrBuilder {
        LinearLrBuilder {
            base_lr,
            start_factor: 1.0 / 3.0,
            end_factor: 1.0,
            total_iters: 5,
        }
    }
}

impl Schedule for LinearLr {
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
            ("start_factor", parameters.start_factor),
            ("end_factor", parameters.end_factor),
            ("total_iters", parameters.total_iters as f64),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let parameters = LinearLrBuilder {
            base_lr: reader.number("base_lr")?,
            start_factor: reader.number("start_factor")?,
            end_factor: reader.number("end_factor")?,
            total_iters: reader.count("total_iters")? as usize,
        };
        parameters.check()?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
