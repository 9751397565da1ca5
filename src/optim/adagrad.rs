//! Adagrad.

use candle_core::Var;
use candle_core::backprop::GradStore;

use super::parameters::{CURE, Parameter, Parameters, at_least_0, flag, option};
use super::{Fused, Optimizer};
use crate::Result;
use crate::ops::adagrad::Rule;
use crate::state::{Reader, StateDict};

const NAME: &str = "Adagrad";

/// Gradients divided by the root of the sum of all their squares so far. Equivalent of
/// `torch.optim.Adagrad`.
///
/// With the gradient g of a parameter p (−g with `maximize`) in step t: `g ← g + weight_decay·p`;
/// `s ← s + g²`, where the first s is `initial_accumulator_value`;
/// `p ← p − lr / (1 + (t − 1)·lr_decay) · g / (√s + eps)`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `parameters` | | what is trained | at least one variable, f32 or f64 |
/// | `lr` | 1e-2 | the learning rate | ≥ 0 |
/// | `lr_decay` | 0 | how fast the learning rate falls with the steps | ≥ 0 |
/// | `weight_decay` | 0 | how strongly each parameter is drawn to 0 | ≥ 0 |
/// | `initial_accumulator_value` | 0 | where the sum of squares begins | ≥ 0 |
/// | `eps` | 1e-10 | keeps the quotient finite | ≥ 0 |
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
/// `fused` and `differentiable`, which choose between PyTorch's implementations, have no counterpart.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(1f32, &Device::Cpu)?;
/// let mut adagrad = Adagrad::builder(vec![x.clone()]).lr(0.5).build()?;
/// for _ in 0..100 {
///     adagrad.step(&x.sqr()?.backward()?)?;
/// }
/// assert!(x.to_scalar::<f32>()?.abs() < 1e-2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Adagrad {
    parameters: Parameters,
    options: Options,
}

#[derive(Debug, Clone, Copy)]
struct Options {
    lr: f64,
    lr_decay: f64,
    weight_decay: f64,
    initial_accumulator_value: f64,
    eps: f64,
    maximize: bool,
}

impl Options {
    fn check(&self) -> Result<()> {
        at_least_0(NAME, [("lr", self.lr)])?;
        self.check_fixed()
    }

    /// What no schedule changes.
    fn check_fixed(&self) -> Result<()> {
        at_least_0(
            NAME,
            [
                ("lr_decay", self.lr_decay),
                ("weight_decay", self.weight_decay),
                ("initial_accumulator_value", self.initial_accumulator_value),
                ("eps", self.eps),
            ],
        )
    }
}

/// The parameters of an [`Adagrad`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = Adagrad::builder(vec![]).lr_decay(-1.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "Adagrad: lr_decay=-1 must be a number of at least 0");
/// ```
#[derive(Debug, Clone)]
pub struct AdagradBuilder {
    parameters: Vec<Var>,
    options: Options,
}

impl AdagradBuilder {
    /// The learning rate; 1e-2 unless set.
    pub fn lr(mut self, lr: f64) -> Self {
        self.options.lr = lr;
        self
    }

    /// How fast the learning rate falls with the steps; 0 unless set.
    pub fn lr_decay(mut self, lr_decay: f64) -> Self {
        self.options.lr_decay = lr_decay;
        self
    }

    /// How strongly each parameter is drawn to 0; 0 unless set.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.options.weight_decay = weight_decay;
        self
    }

    /// Where the sum of squares begins; 0 unless set.
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.options.initial_accumulator_value = value;
        self
    }

    /// Keeps the quotient finite; 1e-10 unless set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.options.eps = eps;
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
    pub fn build(self) -> Result<Adagrad> {
        let Self {
            parameters,
            options,
        } = self;
        options.check()?;
        Ok(Adagrad {
            parameters: Parameters::new(NAME, parameters, ["sum", "", ""], true)?,
            options,
        })
    }
}

impl Adagrad {
    /// The parameters of the optimizer; the others are set on what it returns.
    pub fn builder(parameters: Vec<Var>) -> AdagradBuilder {
        AdagradBuilder {
            parameters,
            options: Options {
                lr: 1e-2,
                lr_decay: 0.0,
                weight_decay: 0.0,
                initial_accumulator_value: 0.0,
                eps: 1e-10,
                maximize: false,
            },
        }
    }
}

/// The rule of a parameter's next step.
fn of_parameter(options: Options) -> impl Fn(&mut Parameter) -> Result<Rule> {
    move |parameter| {
        parameter.need(0, options.initial_accumulator_value)?;
        let steps_before = (parameter.step - 1) as f64;
        Ok(Rule {
            lr: options.lr / (1.0 + steps_before * options.lr_decay),
            weight_decay: options.weight_decay,
            eps: options.eps,
            maximize: options.maximize,
        })
    }
}

impl Optimizer for Adagrad {
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

    fn state_dict(&self) -> Result<StateDict> {
        let options = &self.options;
        self.parameters.state_dict(&[
            ("lr", options.lr),
            ("lr_decay", options.lr_decay),
            ("weight_decay", options.weight_decay),
            (
                "initial_accumulator_value",
                options.initial_accumulator_value,
            ),
            ("eps", options.eps),
            ("maximize", flag(options.maximize)),
        ])
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let reader = Reader::new(state, NAME, CURE);
        let number = |name| reader.number(&option(name));
        let options = Options {
            lr: number("lr")?,
            lr_decay: number("lr_decay")?,
            weight_decay: number("weight_decay")?,
            initial_accumulator_value: number("initial_accumulator_value")?,
            eps: number("eps")?,
            maximize: reader.flag(&option("maximize"))?,
        };
        // A schedule may set any learning rate, and what it set must load.
        options.check_fixed()?;
        let states = self.parameters.read(&reader, [true, false, false])?;
        reader.finish()?;
        self.parameters.set(states);
        self.options = options;
        Ok(())
    }
}
