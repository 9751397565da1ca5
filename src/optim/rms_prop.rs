//! RMSprop.

use candle_core::Var;
use candle_core::backprop::GradStore;

use super::parameters::{CURE, Parameter, Parameters, at_least_0, flag, option};
use super::{Fused, Optimizer};
use crate::Result;
use crate::ops::rms_prop::Rule;
use crate::state::{Reader, StateDict};

const NAME: &str = "RmsProp";

/// Gradients divided by the root of the running mean of their squares. Equivalent of
/// `torch.optim.RMSprop`.
///
/// With the gradient g of a parameter p (−g with `maximize`): `g ← g + weight_decay·p`;
/// `v ← alpha·v + (1 − alpha)·g²`; with `centered` `m ← alpha·m + (1 − alpha)·g` and the root is
/// `r = √(v − m²)`, otherwise `r = √v`; `p ← p − lr·g / (r + eps)`, or with a momentum
/// `b ← momentum·b + g / (r + eps)` and `p ← p − lr·b`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `parameters` | | what is trained | at least one variable, f32 or f64 |
/// | `lr` | 1e-2 | the learning rate | ≥ 0 |
/// | `alpha` | 0.99 | how much of the means stays in a step | ≥ 0; below 1 is sensible |
/// | `eps` | 1e-8 | keeps the quotient finite | ≥ 0 |
/// | `weight_decay` | 0 | how strongly each parameter is drawn to 0 | ≥ 0 |
/// | `momentum` | 0 | how much of the last step's direction stays | ≥ 0 |
/// | `centered` | false | whether to divide by the root of the gradients' variance, not of their mean square | |
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
/// No parameter groups. An infinite number is refused, and so is a parameter of f16 or bf16. `foreach`,
/// `capturable` and `differentiable`, which choose between PyTorch's implementations, have no
/// counterpart.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut rms_prop = RmsProp::builder(vec![x.clone()]).alpha(0.9).build()?;
/// for _ in 0..200 {
///     rms_prop.step(&x.sqr()?.backward()?)?;
/// }
/// assert!(x.to_scalar::<f32>()?.abs() < 2e-2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RmsProp {
    parameters: Parameters,
    rule: Rule,
}

fn check(rule: &Rule) -> Result<()> {
    at_least_0(NAME, [("lr", rule.lr), ("momentum", rule.momentum)])?;
    check_fixed(rule)
}

/// What no schedule changes.
fn check_fixed(rule: &Rule) -> Result<()> {
    at_least_0(
        NAME,
        [
            ("alpha", rule.alpha),
            ("eps", rule.eps),
            ("weight_decay", rule.weight_decay),
        ],
    )
}

/// The parameters of an [`RmsProp`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = RmsProp::builder(vec![]).alpha(-1.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "RmsProp: alpha=-1 must be a number of at least 0");
/// ```
#[derive(Debug, Clone)]
pub struct RmsPropBuilder {
    parameters: Vec<Var>,
    rule: Rule,
}

impl RmsPropBuilder {
    /// The learning rate; 1e-2 unless set.
    pub fn lr(mut self, lr: f64) -> Self {
        self.rule.lr = lr;
        self
    }

    /// How much of the means stays; 0.99 unless set.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.rule.alpha = alpha;
        self
    }

    /// Keeps the quotient finite; 1e-8 unless set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// How strongly each parameter is drawn to 0; 0 unless set.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.rule.weight_decay = weight_decay;
        self
    }

    /// How much of the last step's direction stays; 0 unless set.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// Whether the gradients' variance stands for their mean square; false unless set.
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }

    /// Whether to climb; false unless set.
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.rule.maximize = maximize;
        self
    }

    /// The optimizer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range, [`Error::WrongDType`](crate::Error::WrongDType) where a variable is not f32 or f64.
    pub fn build(self) -> Result<RmsProp> {
        check(&self.rule)?;
        let names = ["square_avg", "momentum_buffer", "grad_avg"];
        Ok(RmsProp {
            parameters: Parameters::new(NAME, self.parameters, names, true)?,
            rule: self.rule,
        })
    }
}

impl RmsProp {
    /// The parameters of the optimizer; the others are set on what it returns.
    pub fn builder(parameters: Vec<Var>) -> RmsPropBuilder {
        RmsPropBuilder {
            parameters,
            rule: Rule {
                lr: 1e-2,
                alpha: 0.99,
                eps: 1e-8,
                weight_decay: 0.0,
                momentum: 0.0,
                maximize: false,
                centered: false,
            },
        }
    }
}

/// The rule of a parameter's next step.
fn of_parameter(rule: Rule) -> impl Fn(&mut Parameter) -> Result<Rule> {
    move |parameter| {
        parameter.need(0, 0.0)?;
        if rule.momentum > 0.0 {
            parameter.need(1, 0.0)?;
        }
        if rule.centered {
            parameter.need(2, 0.0)?;
        }
        Ok(rule)
    }
}

impl Optimizer for RmsProp {
    fn to_device(&mut self, parameters: Vec<Var>) -> Result<()> {
        self.parameters.move_to(parameters)
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.parameters.step(gradients, of_parameter(self.rule))
    }

    fn fuses(&self) -> Option<(&'static str, Vec<Var>)> {
        self.parameters.fuses::<Rule>()
    }

    fn fused(&mut self) -> Result<Fused> {
        self.parameters.fused(of_parameter(self.rule))
    }

    fn lr(&self) -> f64 {
        self.rule.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.rule.lr = lr;
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.rule.momentum)
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        self.rule.momentum = momentum;
        Ok(())
    }

    fn state_dict(&self) -> Result<StateDict> {
        let rule = self.rule;
        self.parameters.state_dict(&[
            ("lr", rule.lr),
            ("alpha", rule.alpha),
            ("eps", rule.eps),
            ("weight_decay", rule.weight_decay),
            ("momentum", rule.momentum),
            ("centered", flag(rule.centered)),
            ("maximize", flag(rule.maximize)),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let number = |name| reader.number(&option(name));
        let rule = Rule {
            lr: number("lr")?,
            alpha: number("alpha")?,
            eps: number("eps")?,
            weight_decay: number("weight_decay")?,
            momentum: number("momentum")?,
            maximize: reader.flag(&option("maximize"))?,
            centered: reader.flag(&option("centered"))?,
        };
        // A schedule may set any learning rate and momentum, and what it set must load. It may do so
        // after the last step, so that there is no direction yet.
        check_fixed(&rule)?;
        let needs = [true, false, rule.centered];
        let states = self.parameters.read(&reader, needs)?;
        reader.finish()?;
        self.parameters.set(states);
        self.rule = rule;
        Ok(())
    }
}
