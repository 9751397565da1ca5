use super::phase::{AnnealStrategy, Phase, locate};
use super::{Course, NAME, OneCycleLr, Reader, Result, finite, invalid, rate};

/// How long the cycle is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Steps {
    Total(usize),
    Epochs {
        epochs: usize,
        steps_per_epoch: usize,
    },
}

/// The parameters of a [`OneCycleLr`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = OneCycleLr::builder(0.1, 100).pct_start(30.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "OneCycleLr: pct_start=30 must be a fraction, 0 to 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct OneCycleLrBuilder {
    max_lr: f64,
    steps: Steps,
    pct_start: f64,
    anneal_strategy: AnnealStrategy,
    pub(super) cycle_momentum: bool,
    base_momentum: f64,
    max_momentum: f64,
    div_factor: f64,
    final_div_factor: f64,
    three_phase: bool,
}

impl OneCycleLrBuilder {
    pub(super) fn new(max_lr: f64, steps: Steps) -> Self {
        Self {
            max_lr,
            steps,
            pct_start: 0.3,
            anneal_strategy: AnnealStrategy::Cos,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    /// The fraction of the cycle in which the learning rate rises; 0.3 unless set.
    pub fn pct_start(mut self, pct_start: f64) -> Self {
        self.pct_start = pct_start;
        self
    }

    /// Along half a cosine or a line; `Cos` unless set.
    pub fn anneal_strategy(mut self, anneal_strategy: AnnealStrategy) -> Self {
        self.anneal_strategy = anneal_strategy;
        self
    }

    /// Whether the momentum changes too; true unless set.
    pub fn cycle_momentum(mut self, cycle_momentum: bool) -> Self {
        self.cycle_momentum = cycle_momentum;
        self
    }

    /// The momentum at the highest learning rate; 0.85 unless set.
    pub fn base_momentum(mut self, base_momentum: f64) -> Self {
        self.base_momentum = base_momentum;
        self
    }

    /// The momentum at the ends; 0.95 unless set.
    pub fn max_momentum(mut self, max_momentum: f64) -> Self {
        self.max_momentum = max_momentum;
        self
    }

    /// `max_lr` over the first learning rate; 25 unless set.
    pub fn div_factor(mut self, div_factor: f64) -> Self {
        self.div_factor = div_factor;
        self
    }

    /// The first learning rate over the last; 1e4 unless set.
    pub fn final_div_factor(mut self, final_div_factor: f64) -> Self {
        self.final_div_factor = final_div_factor;
        self
    }

    /// Whether it falls to the first learning rate, and from there to the last; false unless set.
    pub fn three_phase(mut self, three_phase: bool) -> Self {
        self.three_phase = three_phase;
        self
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range.
    pub fn build(self) -> Result<OneCycleLr> {
        self.check()?;
        let course = Course::new(self.lr(0)?);
        Ok(OneCycleLr {
            parameters: self,
            course,
        })
    }

    fn check(&self) -> Result<()> {
        rate(NAME, "max_lr", self.max_lr)?;
        let at_least_1 = |name, steps| match steps {
            0 => invalid(NAME, name, 0, "must be at least 1"),
            _ => Ok(()),
        };
        match self.steps {
            Steps::Total(steps) => at_least_1("total_steps", steps)?,
            Steps::Epochs {
                epochs,
                steps_per_epoch,
            } => {
                at_least_1("epochs", epochs)?;
                at_least_1("steps_per_epoch", steps_per_epoch)?;
            }
        }
        if !(0.0..=1.0).contains(&self.pct_start) {
            return invalid(
                NAME,
                "pct_start",
                self.pct_start,
                "must be a fraction, 0 to 1",
            );
        }
        for (name, value) in [
            ("div_factor", self.div_factor),
            ("final_div_factor", self.final_div_factor),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return invalid(NAME, name, value, "must be a number above 0");
            }
        }
        finite(
            NAME,
            [
                ("base_momentum", self.base_momentum),
                ("max_momentum", self.max_momentum),
            ],
        )
    }

    pub(super) fn total_steps(&self) -> usize {
        match self.steps {
            Steps::Total(steps) => steps,
            Steps::Epochs {
                epochs,
                steps_per_epoch,
            } => epochs.saturating_mul(steps_per_epoch),
        }
    }

    fn phases(&self) -> Vec<Phase> {
        let steps = self.total_steps() as f64;
        let initial = self.max_lr / self.div_factor;
        let min = initial / self.final_div_factor;
        let (base, max) = (self.base_momentum, self.max_momentum);
        let phase = |end_step, lr, momentum| Phase {
            end_step,
            lr,
            momentum,
        };
        let rise = phase(
            self.pct_start * steps - 1.0,
            (initial, self.max_lr),
            (max, base),
        );
        match self.three_phase {
            true => vec![
                rise,
                phase(
                    2.0 * self.pct_start * steps - 2.0,
                    (self.max_lr, initial),
                    (base, max),
                ),
                phase(steps - 1.0, (initial, min), (max, max)),
            ],
            false => vec![rise, phase(steps - 1.0, (self.max_lr, min), (base, max))],
        }
    }

    pub(super) fn lr(&self, step: usize) -> Result<f64> {
        match locate(&self.phases(), step) {
            Some((phase, pct)) => Ok(self.anneal_strategy.at(phase.lr.0, phase.lr.1, pct)),
            None => {
                let steps = self.total_steps();
                let problem = format!(
                    "leaves a phase of no length in {steps} steps; choose another, or more steps"
                );
                invalid(NAME, "pct_start", self.pct_start, problem)
            }
        }
    }

    pub(super) fn momentum(&self, step: usize) -> Option<f64> {
        let (phase, pct) = locate(&self.phases(), step)?;
        let (start, end) = phase.momentum;
        Some(self.anneal_strategy.at(start, end, pct))
    }

    pub(super) fn named(&self) -> [(&'static str, f64); 10] {
        let flag = |value: bool| f64::from(u8::from(value));
        [
            ("max_lr", self.max_lr),
            ("total_steps", self.total_steps() as f64),
            ("pct_start", self.pct_start),
            (
                "anneal_strategy.linear",
                flag(self.anneal_strategy == AnnealStrategy::Linear),
            ),
            ("cycle_momentum", flag(self.cycle_momentum)),
            ("base_momentum", self.base_momentum),
            ("max_momentum", self.max_momentum),
            ("div_factor", self.div_factor),
            ("final_div_factor", self.final_div_factor),
            ("three_phase", flag(self.three_phase)),
        ]
    }

    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        let parameters = Self {
            max_lr: reader.number("max_lr")?,
            steps: Steps::Total(reader.count("total_steps")? as usize),
            pct_start: reader.number("pct_start")?,
            anneal_strategy: match reader.flag("anneal_strategy.linear")? {
                true => AnnealStrategy::Linear,
                false => AnnealStrategy::Cos,
            },
            cycle_momentum: reader.flag("cycle_momentum")?,
            base_momentum: reader.number("base_momentum")?,
            max_momentum: reader.number("max_momentum")?,
            div_factor: reader.number("div_factor")?,
            final_div_factor: reader.number("final_div_factor")?,
            three_phase: reader.flag("three_phase")?,
        };
        parameters.check()?;
        Ok(parameters)
    }
}
