use candle_core::Var;

use crate::ops::update::{Buffers, OnCard};

/// A step that a card takes by itself, with all parameters at once. The optimizer has counted it.
#[derive(Debug)]
pub struct Fused {
    /// The rule's name among the kernels.
    pub(crate) rule: &'static str,
    pub(crate) numbers: OnCard,
    pub(crate) parameters: Vec<(Var, Buffers)>,
}
