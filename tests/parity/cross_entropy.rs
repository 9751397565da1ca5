//! The cross-entropy: loss, gradients, refusals.

use candlelight::prelude::{CrossEntropyLoss, DType};
use serde_json::Value;

use crate::case::{Case, Result};
use crate::compare::{Answer, answer, close_sum, largest, tolerance};
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
        // Of a loss near 0 PyTorch's halves keep the rounding of a number near 1.
        let near = match inputs[0].dtype() {
            DType::F16 | DType::BF16 => 1.0,
            _ => 0.0,
        };
        let mut error = close_sum("loss", &loss, case.get("loss")?, tolerance, near)?;
        let variables: Vec<_> = inputs.iter().collect();
        let grad_loss = case.get("grad_loss")?;
        let found = gradients(&loss, grad_loss, &variables)?;
        // Softmax less truth, times what flows in: near 0 where the loss is, in PyTorch as here up to
        // the rounding of a number near 1.
        let targets = inputs[0].elem_count() / inputs[0].dim(1)?;
        let term = match case.str("reduction")? {
            "mean" => largest(grad_loss)? / targets as f64,
            _ => largest(grad_loss)?,
        };
        for (name, found) in names.iter().zip(&found) {
            let name = format!("grad_{name}");
            error = error.max(close_sum(&name, found, case.get(&name)?, tolerance, term)?);
        }
        Ok(error)
    })
}
