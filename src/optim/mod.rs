//! Optimizers: how the parameters follow their gradients.

mod sgd;

pub use sgd::{Sgd, SgdBuilder};

use candle_core::backprop::GradStore;

use crate::Result;

/// What changes the parameters after each batch.
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
    /// One step along the gradients; a parameter without a gradient stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where a gradient does not fit its parameter.
    fn step(&mut self, gradients: &GradStore) -> Result<()>;

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);
}
