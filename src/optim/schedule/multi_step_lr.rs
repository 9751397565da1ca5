//! The learning rate falls at chosen epochs.

use super::Schedule;
use super::course::{CURE, Course, finite, rate};
use crate::Result;
use crate::state::{Reader, StateDict};

const NAME: &str = "MultiStepLr";

/// At each of the `milestones` the learning rate is multiplied by `gamma`. Equivalent of
/// `torch.optim.lr_scheduler.MultiStepLR`.
///
/// `lr = base_lr · gamma^(how many milestones are ≤ epoch)`, multiplied step by step.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `base_lr` | | the learning rate before the first milestone | ≥ 0 |
/// | `milestones` | | the epochs, in any order; one that is there twice counts twice | any |
/// | `gamma` | 0.1 | the factor | any number |
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
/// let mut schedule = MultiStepLr::builder(1.0, [1, 3]).gamma(0.5).build()?;
/// let mut rates = vec![schedule.lr()];
/// for _ in 0..4 {
///     schedule.advance()?;
///     rates.push(schedule.lr());
/// }
/// assert_eq!(rates, [1.0, 0.5, 0.5, 0.25, 0.25]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiStepLr {
    parameters: MultiStepLrBuilder,
    course: Course,
}

/// The parameters of a [`MultiStepLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = MultiStepLr::builder(0.1, vec![2, 4]).gamma(f64::NAN).build().unwrap_err();
/// assert_eq!(error.to_string(), "MultiStepLr: gamma=NaN must be a number");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiStepLrBuilder {
    base_lr: f64,
    milestones: Vec<usize>,
    gamma: f64,
}

impl MultiStepLrBuilder {
    /// The factor; 0.1 unless set.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

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
    pub fn build(self) -> Result<MultiStepLr> {
        self.check()?;
        let course = Course::new(self.next(0, self.base_lr));
        Ok(MultiStepLr {
            parameters: self,
            course,
        })
    }

    fn next(&self, epoch: usize, lr: f64) -> f64 {
        match self.milestones.iter().filter(|&&m| m == epoch).count() {
            0 => lr,
            times => lr * self.gamma.powf(times as f64),
        }
    }
}

impl MultiStepLr {
    /// The parameters of the schedule; `gamma` is set on what it returns.
    pub fn builder(base_lr: f64, milestones: impl Into<Vec<usize>>) -> MultiStepLrBuilder {
        MultiStepLrBuilder {
            base_lr,
            milestones: milestones.into(),
            gamma: 0.1,
        }
    }
}

impl Schedule for MultiStepLr {
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
        let MultiStepLrBuilder {
            base_lr,
            milestones,
            gamma,
        } = &self.parameters;
        let mut state = self.course.state_dict(&[
            ("base_lr", *base_lr),
            ("gamma", *gamma),
            ("milestones", milestones.len() as f64),
        ])?;
        for (i, milestone) in milestones.iter().enumerate() {
            state.insert_number(format!("milestones.{i}"), *milestone as f64)?;
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let milestones = (0..reader.count("milestones")?)
            .map(|i| Ok(reader.count(&format!("milestones.{i}"))? as usize));
        let parameters = MultiStepLrBuilder {
            base_lr: reader.number("base_lr")?,
            milestones: milestones.collect::<Result<_>>()?,
            gamma: reader.number("gamma")?,
        };
        parameters.check()?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
