use candle_core::Var;

use crate::ops::update::{Buffers, OnCard};

/// A step that a card takes by itself, with all parameters at once. The optimizer has counted it.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "cuda", test)), expect(dead_code))]
pub struct Fused {
    pub(crate) numbers: OnCard,
    pub(crate) parameters: Vec<(Var, Buffers)>,
}
