//! The cross-entropy: loss, gradients, refusals.

use candlelight::candle_core::Tensor;
use candlelight::prelude::{CrossEntropyLoss, DType};
use serde_json::Value;

use crate::case::{Case, Result};
use crate::compare::{Answer, answer, largest, tolerance, within};
use crate::layers::gradients;

pub fn cross_entropy(case: &Case) -> Result<Answer> {
    let mut names = vec!["x"];
    // Probabilities have a gradient as well.
    if case.find("grad_target").is_some() {
        names.push("target");
    }
    let inputs = names.iter().map(|name| case.var(name));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let target = match inputs.get(1) {
        Some(target) => target.as_tensor(),
        None => case.get("target")?,
    };
    let mut builder = CrossEntropyLoss::builder()
        .ignore_index(case.arg("ignore_index", Value::as_i64)?)
        .label_smoothing(case.f64("label_smoothing")?);
    if case.bool("weight")? {
        builder = builder.weight(case.get("weight")?.clone());
    }
    let reduction = case.str("reduction")?.parse();
    let run = || {
        let criterion = builder.reduction(reduction?).build()?;
        criterion.forward(&inputs[0], target)
    };
    answer(case, run(), |loss| {
        let tolerance = tolerance(inputs[0].dtype());
        // Where a class is all but certain, loss and gradient are the little that numbers near 1 leave,
        // and PyTorch has rounded those numbers to a half.
        let half = matches!(inputs[0].dtype(), DType::F16 | DType::BF16);
        let compare = |name: &str, found: &Tensor, near_1: f64| {
            let expected = case.get(name)?;
            let scale = largest(expected)?.max(if half { near_1 } else { 0.0 });
            within(name, found, expected, tolerance, scale)
        };
        let mut error = compare("loss", &loss, 1.0)?;
        let variables: Vec<_> = inputs.iter().collect();
        let grad_loss = case.get("grad_loss")?;
        let found = gradients(&loss, grad_loss, &variables)?;
        // Softmax less truth, times what flows in.
        let targets = inputs[0].elem_count() / inputs[0].dim(1)?;
        let near_1 = match case.str("reduction")? {
            "mean" => largest(grad_loss)? / targets as f64,
            _ => largest(grad_loss)?,
        };
        for (name, found) in names.iter().zip(&found) {
            error = error.max(compare(&format!("grad_{name}"), found, near_1)?);
        }
        Ok(error)
    })
}
