//! Convolution, max pooling, the fully connected layer: values, gradients, refusals.

use candlelight::candle_core::Tensor;
use candlelight::prelude::{Conv2d, Linear, MaxPool2d, Padding2, Var, VarBuilder, var_builder};
use serde_json::Value;

use crate::case::{Case, Result, device, size};
use crate::compare::{Answer, answer, close, equal, tolerance};

/// The gradients of `result · grad` with respect to each of `inputs`.
pub fn gradients(result: &Tensor, grad: &Tensor, inputs: &[&Var]) -> Result<Vec<Tensor>> {
    let gradients = (result * grad)?.sum_all()?.backward()?;
    let of = |var: &&Var| gradients.get(var.as_tensor()).cloned();
    let found: Option<Vec<Tensor>> = inputs.iter().map(of).collect();
    Ok(found.ok_or("a gradient is missing")?)
}

/// The weights of the case; where PyTorch refused before there were any, new ones.
fn weights(case: &Case, input: &Tensor) -> VarBuilder<'static> {
    match case.refusal {
        None => VarBuilder::from_tensors(case.named(""), input.dtype(), device()),
        Some(_) => var_builder(input.dtype(), device()),
    }
}

/// Output and gradients of a layer with weights.
fn compare(case: &Case, x: &Var, y: &Tensor, parameters: &[(String, Var)]) -> Result<f64> {
    let tolerance = tolerance(x.dtype());
    let mut error = close("y", y, case.get("y")?, tolerance)?;
    let mut inputs = vec![x];
    inputs.extend(parameters.iter().map(|(_, var)| var));
    let found = gradients(y, case.get("grad_y")?, &inputs)?;
    let names = ["grad_x", "grad_weight", "grad_bias"];
    for (name, found) in names.into_iter().zip(&found) {
        error = error.max(close(name, found, case.get(name)?, tolerance)?);
    }
    Ok(error)
}

pub fn conv2d(case: &Case) -> Result<Answer> {
    let x = case.var("x")?;
    let padding = case.arg("padding", |padding| match padding {
        Value::String(name) => Some(name.parse::<Padding2>()),
        other => size(other).map(|size| Ok(Padding2::from(size))),
    })?;
    let builder = Conv2d::builder(
        case.usize("in_channels")?,
        case.usize("out_channels")?,
        case.size("kernel_size")?,
    )
    .stride(case.size("stride")?)
    .dilation(case.size("dilation")?)
    .groups(case.usize("groups")?)
    .bias(case.bool("bias")?);
    let mode = case.str("padding_mode")?.parse();
    let run = || {
        let mut builder = builder.padding(padding?);
        match mode {
            Ok(mode) => builder = builder.padding_mode(mode),
            // PyTorch looks at it last.
            Err(unknown) => return builder.build(weights(case, &x)).and(Err(unknown)),
        }
        let conv = builder.build(weights(case, &x))?;
        Ok((conv.forward(&x)?, conv))
    };
    answer(case, run(), |(y, conv)| {
        compare(case, &x, &y, &conv.named_parameters())
    })
}

pub fn linear(case: &Case) -> Result<Answer> {
    let x = case.var("x")?;
    let (inputs, outputs) = (case.usize("in_features")?, case.usize("out_features")?);
    let builder = Linear::builder(inputs, outputs).bias(case.bool("bias")?);
    let run = || {
        let fc = builder.build(weights(case, &x))?;
        Ok((fc.forward(&x)?, fc))
    };
    answer(case, run(), |(y, fc)| {
        compare(case, &x, &y, &fc.named_parameters())
    })
}

pub fn max_pool2d(case: &Case) -> Result<Answer> {
    let x = case.var("x")?;
    let mut builder = MaxPool2d::builder(case.size("kernel_size")?)
        .padding(case.size("padding")?)
        .dilation(case.size("dilation")?)
        .ceil_mode(case.bool("ceil_mode")?);
    if let Some(stride) = case.optional("stride", size)? {
        builder = builder.stride(stride);
    }
    let pooled = builder
        .build()
        .and_then(|pool| pool.forward_with_indices(&x));
    answer(case, pooled, |(y, indices)| {
        equal("y", &y, case.get("y")?)?;
        if let Some(expected) = case.find("indices") {
            equal("indices", &indices, expected)?;
        }
        let found = &gradients(&y, case.get("grad_y")?, &[&x])?[0];
        close("grad_x", found, case.get("grad_x")?, tolerance(x.dtype()))
    })
}
