//! Stochastic gradient descent.

use candle_core::Var;
use candle_core::backprop::GradStore;

use super::parameters::{CURE, Parameter, Parameters, at_least_0, flag, option};
use super::{Fused, Optimizer};
use crate::Result;
use crate::error::invalid;
use crate::ops::sgd::Rule;
use crate::state::{Reader, StateDict};

const NAME: &str = "Sgd";

/// Stochastic gradient descent, with momentum. Equivalent of `torch.optim.SGD`.
///
/// With the gradient g of a parameter p (−g with `maximize`):
/// `g ← g + weight_decay·p`; with momentum `b ← momentum·b + (1 − dampening)·g`, where the first b is g
/// itself, and then `g ← b`, or with `nesterov` `g ← g + momentum·b`; at last `p ← p − lr·g`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `parameters` | | what is trained | at least one variable, f32 or f64 |
/// | `lr` | | the learning rate | ≥ 0 |
/// | `momentum` | 0 | how much of the last step's direction stays | ≥ 0 |
/// | `dampening` | 0 | how much less a new gradient counts in it | any |
/// | `weight_decay` | 0 | how strongly each parameter is drawn to 0 | ≥ 0 |
/// | `nesterov` | false | whether to look one step ahead | needs a momentum and no dampening |
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
/// `lr` has no default. No parameter groups. An infinite number is refused, and so is a parameter of
/// f16 or bf16. `foreach`, `fused` and `differentiable`, which choose between PyTorch's
/// implementations, have no counterpart.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut sgd = Sgd::builder(vec![x.clone()], 0.1).momentum(0.5).build()?;
/// for _ in 0..60 {
///     sgd.step(&x.sqr()?.backward()?)?;
/// }
/// assert!(x.to_scalar::<f32>()?.abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sgd {
    parameters: Parameters,
    rule: Rule,
}

/// The parameters of an [`Sgd`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = Sgd::builder(vec![], 0.1).nesterov(true).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Sgd: nesterov=true needs a momentum above 0 and a dampening of 0, not momentum=0 and dampening=0"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct SgdBuilder {
    parameters: Vec<Var>,
    rule: Rule,
}

impl SgdBuilder {
    /// How much of the last step's direction stays; 0 unless set.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// How much less a new gradient counts in the direction; 0 unless set.
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.rule.dampening = dampening;
        self
    }

    /// How strongly each parameter is drawn to 0; 0 unless set.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.rule.weight_decay = weight_decay;
        self
    }

    /// Whether to look one step ahead; false unless set.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
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
    pub fn build(self) -> Result<Sgd> {
        check(&self.rule)?;
        let names = ["momentum_buffer", "", ""];
        Ok(Sgd {
            parameters: Parameters::new(NAME, self.parameters, names, false)?,
            rule: self.rule,
        })
    }
}

/// What no schedule changes.
fn check_fixed(rule: &Rule) -> Result<()> {
    at_least_0(NAME, [("weight_decay", rule.weight_decay)])?;
    match rule.dampening.is_finite() {
        true => Ok(()),
        false => invalid(NAME, "dampening", rule.dampening, "must be a number"),
    }
}

fn check(rule: &Rule) -> Result<()> {
    at_least_0(NAME, [("lr", rule.lr), ("momentum", rule.momentum)])?;
    check_fixed(rule)?;
    if rule.nesterov && (rule.momentum == 0.0 || rule.dampening != 0.0) {
        let problem = format!(
            "needs a momentum above 0 and a dampening of 0, not momentum={} and dampening={}",
            rule.momentum, rule.dampening
        );
        return invalid(NAME, "nesterov", true, problem);
    }
    Ok(())
}

impl Sgd {
    /// The parameters of the optimizer; the others are set on what it returns.
    pub fn builder(parameters: Vec<Var>, lr: f64) -> SgdBuilder {
        SgdBuilder {
            parameters,
            rule: Rule {
                lr,
                momentum: 0.0,
                dampening: 0.0,
                weight_decay: 0.0,
                nesterov: false,
                maximize: false,
                first: true,
            },
        }
    }
}

/// The rule of a parameter's next step.
fn of_parameter(rule: Rule) -> impl Fn(&mut Parameter) -> Result<Rule> {
    move |parameter| {
        let first = parameter.buffers[0].is_none();
        if rule.momentum != 0.0 {
            parameter.need(0, 0.0)?;
        }
        Ok(Rule { first, ..rule })
    }
}

impl Optimizer for Sgd {
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
            ("momentum", rule.momentum),
            ("dampening", rule.dampening),
            ("weight_decay", rule.weight_decay),
            ("nesterov", flag(rule.nesterov)),
            ("maximize", flag(rule.maximize)),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let number = |name| reader.number(&option(name));
        let rule = Rule {
            lr: number("lr")?,
            momentum: number("momentum")?,
            dampening: number("dampening")?,
            weight_decay: number("weight_decay")?,
            nesterov: reader.flag(&option("nesterov"))?,
            maximize: reader.flag(&option("maximize"))?,
            first: true,
        };
        // A schedule may set any learning rate and momentum, and what it set must load.
        check_fixed(&rule)?;
        let states = self.parameters.read(&reader, [false; 3])?;
        reader.finish()?;
        self.parameters.set(states);
        self.rule = rule;
        Ok(())
    }
}
