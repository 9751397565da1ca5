//! Adam.

use candle_core::Var;
use candle_core::backprop::GradStore;

use super::parameters::{CURE, Parameter, Parameters, at_least_0, flag, option};
use super::{Fused, Optimizer};
use crate::Result;
use crate::error::invalid;
use crate::ops::adam::Rule;
use crate::state::{Reader, StateDict};

const NAME: &str = "Adam";

/// Each parameter gets a step size of its own, from running means of its gradients and of their
/// squares. Equivalent of `torch.optim.Adam`.
///
/// With the gradient g of a parameter p (−g with `maximize`) in step t:
/// `g ← g + weight_decay·p`; `m ← β₁·m + (1 − β₁)·g`; `v ← β₂·v + (1 − β₂)·g²`;
/// `p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)`; with `amsgrad` the largest v so far replaces
/// v in this last formula.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `parameters` | | what is trained | at least one variable, f32 or f64 |
/// | `lr` | 1e-3 | the learning rate | ≥ 0 |
/// | `betas` | (0.9, 0.999) | how much of the two means stays in a step | each in [0, 1) |
/// | `eps` | 1e-8 | keeps the quotient finite | ≥ 0 |
/// | `weight_decay` | 0 | how strongly each parameter is drawn to 0 | ≥ 0 |
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
/// No parameter groups. An infinite number is refused, and so is a parameter of f16 or bf16.
/// `decoupled_weight_decay` is [`AdamW`](super::AdamW). `foreach`, `fused`, `capturable` and
/// `differentiable`, which choose between PyTorch's implementations, have no counterpart.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut adam = Adam::builder(vec![x.clone()]).lr(0.1).betas((0.8, 0.99)).build()?;
/// for _ in 0..200 {
///     adam.step(&x.sqr()?.backward()?)?;
/// }
/// assert!(x.to_scalar::<f32>()?.abs() < 1e-2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Adam {
    name: &'static str,
    parameters: Parameters,
    options: Options,
}

#[derive(Debug, Clone, Copy)]
struct Options {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
    /// Whether it is [`AdamW`](super::AdamW).
    decoupled: bool,
}

impl Options {
    fn check(&self, name: &'static str) -> Result<()> {
        at_least_0(name, [("lr", self.lr)])?;
        self.check_betas(name, &[self.betas.0, self.betas.1])?;
        self.check_fixed(name)
    }

    /// What no schedule changes.
    fn check_fixed(&self, name: &'static str) -> Result<()> {
        let options = [("eps", self.eps), ("weight_decay", self.weight_decay)];
        at_least_0(name, options)?;
        self.check_betas(name, &[self.betas.1])
    }

    fn check_betas(&self, name: &'static str, betas: &[f64]) -> Result<()> {
        if betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
            return Ok(());
        }
        let (first, second) = self.betas;
        let problem = "must be two numbers of at least 0 and below 1";
        invalid(name, "betas", format!("({first}, {second})"), problem)
    }
}

/// The parameters of an [`Adam`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = Adam::builder(vec![]).betas((1.0, 0.9)).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Adam: betas=(1, 0.9) must be two numbers of at least 0 and below 1"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct AdamBuilder {
    name: &'static str,
    parameters: Vec<Var>,
    options: Options,
}

impl AdamBuilder {
    /// The learning rate; 1e-3 unless set.
    pub fn lr(mut self, lr: f64) -> Self {
        self.options.lr = lr;
        self
    }

    /// How much of the gradients' mean and of their squares' mean stays; (0.9, 0.999) unless set.
    pub fn betas(mut self, betas: (f64, f64)) -> Self {
        self.options.betas = betas;
        self
    }

    /// Keeps the quotient finite; 1e-8 unless set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.options.eps = eps;
        self
    }

    /// How strongly each parameter is drawn to 0; 0 unless set.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.options.weight_decay = weight_decay;
        self
    }

    /// Whether the mean of squares counts with its largest value; false unless set.
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.options.amsgrad = amsgrad;
        self
    }

    /// Whether to climb; false unless set.
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.options.maximize = maximize;
        self
    }

    /// The optimizer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where a parameter is outside its
    /// range, [`Error::WrongDType`](crate::Error::WrongDType) where a variable is not f32 or f64.
    pub fn build(self) -> Result<Adam> {
        let Self {
            name,
            parameters,
            options,
        } = self;
        options.check(name)?;
        let names = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        Ok(Adam {
            name,
            parameters: Parameters::new(name, parameters, names, true)?,
            options,
        })
    }
}

impl Adam {
    /// The parameters of the optimizer; the others are set on what it returns.
    pub fn builder(parameters: Vec<Var>) -> AdamBuilder {
        AdamBuilder {
            name: NAME,
            parameters,
            options: Options {
                lr: 1e-3,
                betas: (0.9, 0.999),
                eps: 1e-8,
                weight_decay: 0.0,
                amsgrad: false,
                maximize: false,
                decoupled: false,
            },
        }
    }

    /// The builder of [`AdamW`](super::AdamW).
    pub(super) fn decoupled(name: &'static str, parameters: Vec<Var>) -> AdamBuilder {
        let mut builder = Self::builder(parameters).weight_decay(1e-2);
        builder.name = name;
        builder.options.decoupled = true;
        builder
    }
}

/// The rule of a parameter's next step.
fn of_parameter(options: Options) -> impl Fn(&mut Parameter) -> Result<Rule> {
    move |parameter| {
        let buffers = if options.amsgrad { 3 } else { 2 };
        for i in 0..buffers {
            parameter.need(i, 0.0)?;
        }
        Ok(Rule {
            lr: options.lr,
            betas: options.betas,
            eps: options.eps,
            weight_decay: options.weight_decay,
            maximize: options.maximize,
            decoupled: options.decoupled,
            amsgrad: options.amsgrad,
            step: parameter.step,
        })
    }
}

impl Optimizer for Adam {
    fn to_device(&mut self, parameters: Vec<Var>) -> Result<()> {
        self.parameters.move_to(parameters)
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.parameters.step(gradients, of_parameter(self.options))
    }

    fn fuses(&self) -> Option<(&'static str, Vec<Var>)> {
        self.parameters.fuses::<Rule>()
    }

    fn fused(&mut self) -> Result<Fused> {
        self.parameters.fused(of_parameter(self.options))
    }

    fn lr(&self) -> f64 {
        self.options.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.options.lr = lr;
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.options.betas.0)
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        self.options.betas.0 = momentum;
        Ok(())
    }

    fn state_dict(&self) -> Result<StateDict> {
        let options = &self.options;
        self.parameters.state_dict(&[
            ("lr", options.lr),
            ("betas.0", options.betas.0),
            ("betas.1", options.betas.1),
            ("eps", options.eps),
            ("weight_decay", options.weight_decay),
            ("amsgrad", flag(options.amsgrad)),
            ("maximize", flag(options.maximize)),
            ("decoupled_weight_decay", flag(options.decoupled)),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, self.name, CURE);
        let number = |name| reader.number(&option(name));
        let flag = |name| reader.flag(&option(name));
        let options = Options {
            lr: number("lr")?,
            betas: (number("betas.0")?, number("betas.1")?),
            eps: number("eps")?,
            weight_decay: number("weight_decay")?,
            amsgrad: flag("amsgrad")?,
            maximize: flag("maximize")?,
            decoupled: flag("decoupled_weight_decay")?,
        };
        // A schedule may set any learning rate and first beta, and what it set must load.
        options.check_fixed(self.name)?;
        if options.decoupled != self.options.decoupled {
            let other = if options.decoupled { "AdamW" } else { "Adam" };
            let problem = format!("says that it is the state of {other}");
            return reader.refuse(&option("decoupled_weight_decay"), problem);
        }
        let needs = [true, true, options.amsgrad];
        let states = self.parameters.read(&reader, needs)?;
        reader.finish()?;
        self.parameters.set(states);
        self.options = options;
        Ok(())
    }
}
