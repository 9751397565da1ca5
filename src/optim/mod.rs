//! Optimizers: how the parameters follow their gradients; and [`schedule`]s: how the learning rate
//! changes meanwhile.

mod adagrad;
mod adam;
mod adam_w;
mod fused;
mod parameters;
mod rms_prop;
pub mod schedule;
mod sgd;

pub use adagrad::{Adagrad, AdagradBuilder};
pub use adam::{Adam, AdamBuilder};
pub use adam_w::{AdamW, AdamWBuilder};
#[doc(hidden)]
pub use fused::Fused;
pub use rms_prop::{RmsProp, RmsPropBuilder};
pub use sgd::{Sgd, SgdBuilder};

use candle_core::Var;
use candle_core::backprop::GradStore;

use crate::Result;
use crate::error::invalid;
use crate::state::StateDict;

/// What changes the parameters after each batch. Equivalent of `torch.optim.Optimizer`.
///
/// # Differences from PyTorch
///
/// The gradients come with [`step`](Self::step), not with the parameters, so there is no `zero_grad`. No
/// parameter groups: the state's `param_groups.0` is the only one.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let x = Var::new(3f32, &Device::Cpu)?;
/// let mut sgd = Sgd::builder(vec![x.clone()], 0.25).build()?;
/// let loss = x.sqr()?;
/// sgd.step(&loss.backward()?)?;
/// assert_eq!(x.to_scalar::<f32>()?, 3.0 - 0.25 * 6.0);
/// # Ok(())
/// # }
/// ```
pub trait Optimizer {
    /// Replaces the optimizer's parameters by the same ones on another device: as many, in the same order, of the same
    /// shapes and types. What it remembers of each moves to that parameter's device. PyTorch has no such method; there
    /// the optimizer is built after the network has been moved.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where number, shapes or types differ, or where the
    /// optimizer has no such method of its own; [`Error::Candle`](crate::Error::Candle) where the memory there does not
    /// suffice. Then nothing has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// let mut sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
    /// let net = net.to_device(best_device()?.device())?;
    /// sgd.to_device(net.parameters())?;
    /// # Ok(())
    /// # }
    /// ```
    fn to_device(&mut self, parameters: Vec<Var>) -> Result<()> {
        let problem = "cannot be exchanged in this optimizer; build it with them";
        invalid("Optimizer", "parameters", parameters.len(), problem)
    }

    /// One step along the gradients; a parameter without a gradient stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where a gradient does not fit its parameter.
    fn step(&mut self, gradients: &GradStore) -> Result<()>;

    /// The rule's name and the parameters, where a card may take its steps by itself: [`fused`](Self::fused) then.
    #[doc(hidden)]
    fn fuses(&self) -> Option<(&'static str, Vec<Var>)> {
        None
    }

    /// The next step for a card to take, of all parameters at once; the optimizer counts it as taken.
    #[doc(hidden)]
    fn fused(&mut self) -> Result<Fused> {
        invalid(
            "Optimizer",
            "fused",
            "",
            "this optimizer has no kernel; call step",
        )
    }

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);

    /// The momentum, or of [`Adam`] and [`AdamW`] the first of the betas: what
    /// [`OneCycleLr`](schedule::OneCycleLr) cycles. None where the optimizer has neither.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum, or the first of the betas, from the next step on.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where the optimizer has neither.
    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        invalid(
            "Optimizer",
            "momentum",
            momentum,
            "cannot be set: this optimizer has neither a momentum nor betas",
        )
    }

    /// What the optimizer remembers: its options, and for each parameter, by its place, the buffers.
    /// Equivalent of `torch.optim.Optimizer.state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where there is no memory.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let x = Var::new(3f32, &Device::Cpu)?;
    /// let mut adam = Adam::builder(vec![x.clone()]).lr(0.1).build()?;
    /// adam.step(&x.sqr()?.backward()?)?;
    /// let state = adam.state_dict()?;
    /// assert_eq!(state.number("param_groups.0.lr"), Some(0.1));
    /// assert_eq!(state.number("state.0.step"), Some(1.0));
    /// assert!(state.get("state.0.exp_avg").is_some());
    /// # Ok(())
    /// # }
    /// ```
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes what [`state_dict`](Self::state_dict) gave, the options too: the next steps are those that
    /// would have followed there. Equivalent of `torch.optim.Optimizer.load_state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongState`](crate::Error::WrongState), which names the entry, where one is missing,
    /// not known, or of another shape or dtype; [`Error::InvalidParameter`](crate::Error::InvalidParameter)
    /// where an option is outside its range. Then nothing has changed. The learning rate and the momentum
    /// may be any number, as a schedule may set them to any.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let x = Var::new(3f32, &Device::Cpu)?;
    /// let mut adam = Adam::builder(vec![x.clone()]).build()?;
    /// let sgd = Sgd::builder(vec![x], 0.1).build()?;
    /// let error = adam.load_state_dict(&sgd.state_dict()?).unwrap_err();
    /// assert!(error.to_string().starts_with("Adam: param_groups.0.betas.0 is missing; "));
    /// # Ok(())
    /// # }
    /// ```
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    fn to_device(&mut self, parameters: Vec<Var>) -> Result<()> {
        (**self).to_device(parameters)
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        (**self).step(gradients)
    }

    fn fuses(&self) -> Option<(&'static str, Vec<Var>)> {
        (**self).fuses()
    }

    fn fused(&mut self) -> Result<Fused> {
        (**self).fused()
    }

    fn lr(&self) -> f64 {
        (**self).lr()
    }

    fn set_lr(&mut self, lr: f64) {
        (**self).set_lr(lr);
    }

    fn momentum(&self) -> Option<f64> {
        (**self).momentum()
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        (**self).set_momentum(momentum)
    }

    fn state_dict(&self) -> Result<StateDict> {
        (**self).state_dict()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        (**self).load_state_dict(state)
    }
}
