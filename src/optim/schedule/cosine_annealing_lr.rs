//! The learning rate falls along half a cosine.

use std::f64::consts::PI;

use super::Schedule;
use super::course::{CURE, Course, finite, rate};
use crate::Result;
use crate::error::invalid;
use crate::state::{Reader, StateDict};

const NAME: &str = "CosineAnnealingLr";

/// The learning rate falls along half a cosine, slowly at first and at last. Equivalent of
/// `torch.optim.lr_scheduler.CosineAnnealingLR`.
///
/// `lr = eta_min + (base_lr − eta_min) · (1 + cos(π · epoch / t_max)) / 2`, each epoch's computed from the
/// one before, as in PyTorch. Beyond `t_max` it rises again.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `base_lr` |  | the learning rate of epoch 0 | ≥ 0 |
/// | `t_max` |  | epochs until the lowest learning rate; PyTorch's `T_max` | ≥ 1 |
/// | `eta_min` | 0 | the lowest learning rate | any number |
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`](crate::Error::InvalidParameter).
///
/// # Differences from PyTorch
///
/// `base_lr` is given here, not taken from the optimizer; see [`Schedule`]. `t_max=0` is refused when
/// built, not at the first step.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut schedule = CosineAnnealingLr::builder(0.1, 4).eta_min(0.02).build()?;
/// for _ in 0..2 {
///     schedule.advance()?;
/// }
/// assert!((schedule.lr() - 0.06).abs() < 1e-12);
/// for _ in 0..2 {
///     schedule.advance()?;
/// }
/// assert!((schedule.lr() - 0.02).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CosineAnnealingLr {
    parameters: CosineAnnealingLrBuilder,
    course: Course,
}

/// The parameters of a [`CosineAnnealingLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = CosineAnnealingLr::builder(0.1, 0).build().unwrap_err();
/// assert_eq!(error.to_string(), "CosineAnnealingLr: t_max=0 must be at least 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CosineAnnealingLrBuilder {
    base_lr: f64,
    t_max: usize,
    eta_min: f64,
}

impl CosineAnnealingLrBuilder {
    /// The lowest learning rate; 0 unless set.
    pub fn eta_min(mut self, eta_min: f64) -> Self {
        self.eta_min = eta_min;
        self
    }

    fn check(&self) -> Result<()> {
        rate(NAME, "base_lr", self.base_lr)?;
        finite(NAME, [("eta_min", self.eta_min)])?;
        match self.t_max {
            0 => invalid(NAME, "t_max", 0, "must be at least 1"),
            _ => Ok(()),
        }
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<CosineAnnealingLr> {
        self.check()?;
        let course = Course::new(self.base_lr);
        Ok(CosineAnnealingLr {
            parameters: self,
            course,
        })
    }

    fn next(&self, epoch: usize, lr: f64) -> f64 {
        let t_max = self.t_max as f64;
        let cosine = |epoch: usize| (PI * epoch as f64 / t_max).cos();
        // One epoch after each lowest point the quotient below would be of two zeros.
        let after_lowest =
            epoch > self.t_max && (epoch - 1 - self.t_max).is_multiple_of(self.period());
        if after_lowest {
            lr + (self.base_lr - self.eta_min) * (1.0 - (PI / t_max).cos()) / 2.0
        } else {
            (1.0 + cosine(epoch)) / (1.0 + cosine(epoch - 1)) * (lr - self.eta_min) + self.eta_min
        }
    }

    fn period(&self) -> usize {
        self.t_max.saturating_mul(2)
    }
}

impl CosineAnnealingLr {
    /// The parameters of the schedule; `eta_min` is set on what it returns.
    pub fn builder(base_lr: f64, t_max: usize) -> CosineAnnealingLrBuilder {
        CosineAnnealingLrBuilder {
            base_lr,
            t_max,
            eta_min: 0.0,
        }
    }
}

impl Schedule for CosineAnnealingLr {
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
            ("t_max", parameters.t_max as f64),
            ("eta_min", parameters.eta_min),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let parameters = CosineAnnealingLrBuilder {
            base_lr: reader.number("base_lr")?,
            t_max: reader.count("t_max")? as usize,
            eta_min: reader.number("eta_min")?,
        };
        parameters.check()?;
        let course = Course::read(&reader)?;
        reader.finish()?;
        (self.parameters, self.course) = (parameters, course);
        Ok(())
    }
}
