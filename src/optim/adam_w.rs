//! Adam with a weight decay of its own.

use candle_core::Var;
use candle_core::backprop::GradStore;

use super::{Adam, AdamBuilder, Fused, Optimizer};
use crate::Result;
use crate::state::StateDict;

const NAME: &str = "AdamW";

/// [`Adam`] whose weight decay does not go through the gradient. Equivalent of `torch.optim.AdamW`.
///
/// First `p ← p·(1 − lr·weight_decay)`, then Adam's step without a weight decay.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `parameters` | | what is trained | at least one variable, f32 or f64 |
/// | `lr` | 1e-3 | the learning rate | ≥ 0 |
/// | `betas` | (0.9, 0.999) | how much of the two means stays in a step | each in [0, 1) |
/// | `eps` | 1e-8 | keeps the quotient finite | ≥ 0 |
/// | `weight_decay` | 1e-2 | how strongly each parameter is drawn to 0 | ≥ 0 |
/// | `amsgrad` | false | whether the mean of squares counts with its largest value | |
/// | `maximize` | false | whether to climb | |
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`](crate::Error::InvalidParameter),
/// [`Error::WrongDType`](crate::Error::WrongDType). In [`step`](Optimizer::step):
/// [`Error::Candle`](crate::Error::Candle).
///
/// # Differences from PyTorch
///
/// Those of [`Adam`], less `decoupled_weight_decay`, which PyTorch's AdamW does not take.
///
/// # Example
///
/// Without a gradient's pull the weights shrink by themselves:
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f64, &Device::Cpu)?;
/// let mut adam = AdamW::builder(vec![x.clone()]).lr(0.1).weight_decay(0.5).build()?;
/// adam.step(&x.mul(&x.zeros_like()?)?.backward()?)?;
/// assert_eq!(x.to_scalar::<f64>()?, 1.0 - 0.1 * 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AdamW(Adam);

/// The parameters of an [`AdamW`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = AdamW::builder(vec![]).weight_decay(-0.1).build().unwrap_err();
/// assert_eq!(error.to_string(), "AdamW: weight_decay=-0.1 must be a number of at least 0");
/// ```
#[derive(Debug, Clone)]
pub struct AdamWBuilder(AdamBuilder);

impl AdamWBuilder {
    /// The learning rate; 1e-3 unless set.
    pub fn lr(self, lr: f64) -> Self {
        Self(self.0.lr(lr))
    }

    /// How much of the gradients' mean and of their squares' mean stays; (0.9, 0.999) unless set.
    pub fn betas(self, betas: (f64, f64)) -> Self {
        Self(self.0.betas(betas))
    }

    /// Keeps the quotient finite; 1e-8 unless set.
    pub fn eps(self, eps: f64) -> Self {
        Self(self.0.eps(eps))
    }

    /// How strongly each parameter is drawn to 0; 1e-2 unless set.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self(self.0.weight_decay(weight_decay))
    }

    /// Whether the mean of squares counts with its largest value; false unless set.
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        Self(self.0.amsgrad(amsgrad))
    }

    /// Whether to climb; false unless set.
    pub fn maximize(self, maximize: bool) -> Self {
        Self(self.0.maximize(maximize))
    }

    /// The optimizer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range, [`Error::WrongDType`](crate::Error::WrongDType) where a variable is not f32 or f64.
    pub fn build(self) -> Result<AdamW> {
        Ok(AdamW(self.0.build()?))
    }
}

impl AdamW {
    /// The parameters of the optimizer; the others are set on what it returns.
    pub fn builder(parameters: Vec<Var>) -> AdamWBuilder {
        AdamWBuilder(Adam::decoupled(NAME, parameters))
    }
}

impl Optimizer for AdamW {
    fn to_device(&mut self, parameters: Vec<Var>) -> Result<()> {
        self.0.to_device(parameters)
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.0.step(gradients)
    }

    fn fuses(&self) -> Option<(&'static str, Vec<Var>)> {
        self.0.fuses()
    }

    fn fused(&mut self) -> Result<Fused> {
        self.0.fused()
    }

    fn lr(&self) -> f64 {
        self.0.lr()
    }

    fn set_lr(&mut self, lr: f64) {
        self.0.set_lr(lr);
    }

    fn momentum(&self) -> Option<f64> {
        self.0.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        self.0.set_momentum(momentum)
    }

    fn state_dict(&self) -> Result<StateDict> {
        self.0.state_dict()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.0.load_state_dict(state)
    }
}
