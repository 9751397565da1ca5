//! Numbers on their way to the page.

use candlelight::candle_core::{DType, Tensor};
use wasm_bindgen::prelude::wasm_bindgen;

/// A tensor of at most four axes, as shape and values, row after row.
#[wasm_bindgen]
#[derive(Debug, Clone, PartialEq)]
pub struct Maps {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[wasm_bindgen]
impl Maps {
    /// The length of each axis.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    /// All values, the last axis changing fastest.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        self.values.clone()
    }
}

impl Maps {
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, String> {
        let flat = || tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
        Ok(Self {
            shape: tensor.dims().to_vec(),
            values: flat().map_err(told)?,
        })
    }
}

/// An error as the page shows it.
pub fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
