//! The cross-entropy of one row of logits.

use candlelight::candle_core::{Device, Tensor, Var};
use candlelight::candle_nn::ops::softmax;
use candlelight::loss::CrossEntropyLoss;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::told;

/// A loss, and how it hangs on each logit.
#[wasm_bindgen]
#[derive(Debug)]
pub struct CrossEntropyView {
    /// −log of the target's probability, smoothed where asked for.
    #[wasm_bindgen(readonly)]
    pub loss: f32,
    probabilities: Vec<f32>,
    gradient: Vec<f32>,
}

#[wasm_bindgen]
impl CrossEntropyView {
    /// The softmax of the logits.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn probabilities(&self) -> Vec<f32> {
        self.probabilities.clone()
    }

    /// The loss's derivative by each logit.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn gradient(&self) -> Vec<f32> {
        self.gradient.clone()
    }
}

/// The cross-entropy of `logits` for class `target`.
///
/// # Errors
///
/// The message of the loss.
#[wasm_bindgen]
pub fn cross_entropy(
    logits: &[f32],
    target: usize,
    label_smoothing: f64,
) -> Result<CrossEntropyView, String> {
    let criterion = CrossEntropyLoss::builder()
        .label_smoothing(label_smoothing)
        .build()
        .map_err(told)?;
    let row = Tensor::new(logits, &Device::Cpu).and_then(|row| row.unsqueeze(0));
    let row = row.and_then(|row| Var::from_tensor(&row)).map_err(told)?;
    let targets = Tensor::new(&[target as i64], &Device::Cpu).map_err(told)?;
    let loss = criterion.forward(&row, &targets).map_err(told)?;
    let gradients = loss.backward().map_err(told)?;
    let gradient = gradients.get(&row).ok_or("the loss has no gradient")?;
    let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
    Ok(CrossEntropyView {
        loss: loss.to_scalar().map_err(told)?,
        probabilities: softmax(&row, 1).and_then(|row| flat(&row)).map_err(told)?,
        gradient: flat(gradient).map_err(told)?,
    })
}
