use std::f64::consts::PI;

/// The way from one value to another. PyTorch's `anneal_strategy`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let schedule = OneCycleLr::builder(0.1, 10).anneal_strategy(AnnealStrategy::Linear).build()?;
/// assert_eq!(schedule.lr(), 0.004);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AnnealStrategy {
    /// Along half a cosine. PyTorch's `"cos"`.
    #[default]
    Cos,
    /// Along a line. PyTorch's `"linear"`.
    Linear,
}

impl AnnealStrategy {
    /// The value at the fraction `pct` of the way.
    pub(super) fn at(self, start: f64, end: f64, pct: f64) -> f64 {
        match self {
            Self::Cos => end + (start - end) / 2.0 * ((PI * pct).cos() + 1.0),
            Self::Linear => (end - start) * pct + start,
        }
    }
}

/// A stretch of the cycle, up to a step, with both its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) end_step: f64,
    pub(super) lr: (f64, f64),
    pub(super) momentum: (f64, f64),
}

/// The phase that a step is in, and the fraction of it that lies behind. None where a phase is so short
/// that PyTorch would divide by zero.
pub(super) fn locate(phases: &[Phase], step: usize) -> Option<(Phase, f64)> {
    let step = step as f64;
    let mut start_step = 0.0;
    for (i, phase) in phases.iter().enumerate() {
        if step <= phase.end_step || i + 1 == phases.len() {
            let length = phase.end_step - start_step;
            return (length != 0.0).then_some((*phase, (step - start_step) / length));
        }
        start_step = phase.end_step;
    }
    None
}
