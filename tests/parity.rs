//! The layers, the loss and the optimizer against values that PyTorch computed.
//!
//! Each test counts the cases it ran, so that a case that is left out does not go unnoticed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use candlelight::candle_core::Tensor;
use candlelight::loss::Reduction;
use candlelight::prelude::*;
use common::{Case, Golden, assert_close};

/// A result, and the gradient of `result · grad` with respect to each of `inputs`.
fn gradients(result: &Tensor, grad: &Tensor, inputs: &[&Var]) -> Vec<Tensor> {
    let grads = (result * grad)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let of = |var: &&Var| grads.get(var.as_tensor()).unwrap().clone();
    inputs.iter().map(of).collect()
}

fn conv2d(case: &Case, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Conv2d> {
    let (i, o) = (case.usize("in_channels"), case.usize("out_channels"));
    let padding = match (case.size("padding"), case.str("padding")) {
        (Some(size), _) => Padding2::from(size),
        (None, Some("same")) => Padding2::Same,
        (None, _) => Padding2::Valid,
    };
    let builder = Conv2d::builder(i, o, case.size("kernel_size").unwrap())
        .stride(case.size("stride").unwrap())
        .padding(padding)
        .dilation(case.size("dilation").unwrap())
        .groups(case.usize("groups"))
        .bias(case.bool("bias"));
    match weight {
        Some(weight) => builder.build_with(weight, bias),
        None => builder.build(var_builder(DType::F32, &Device::Cpu)),
    }
}

#[test]
fn conv2d_is_pytorchs() {
    let golden = Golden::read("conv2d");
    let (mut compared, mut refused, mut other_padding) = (0, 0, 0);
    for case in &golden.cases {
        // The padding's mode matters where there is padding.
        let pads = case.str("padding") == Some("same")
            || case
                .size("padding")
                .is_some_and(|size| size != Size2::from(0));
        let unknown =
            matches!(case.str("padding"), Some(name) if name != "same" && name != "valid");
        let mode = case.str("padding_mode").unwrap();
        if unknown || mode == "mirror" || (pads && mode != "zeros" && !case.raises) {
            other_padding += 1;
            continue;
        }
        if case.raises {
            let x = golden.get(case, "x");
            let result = conv2d(case, None, None).and_then(|conv| conv.forward(x));
            assert!(result.is_err(), "{case} must be refused");
            refused += 1;
            continue;
        }
        let x = golden.var(case, "x");
        let weight = golden.var(case, "weight");
        let bias = golden
            .find(case, "bias")
            .map(|bias| Var::from_tensor(bias).unwrap());
        let conv = conv2d(case, Some(&weight), bias.as_ref().map(Var::as_tensor)).unwrap();
        let y = conv.forward(&x).unwrap();
        assert_close(&format!("{case}: y"), &y, golden.get(case, "y"), 1e-5);
        let mut inputs = vec![&x, &weight];
        let mut names = vec!["grad_x", "grad_weight"];
        if let Some(bias) = &bias {
            inputs.push(bias);
            names.push("grad_bias");
        }
        let found = gradients(&y, golden.get(case, "grad_y"), &inputs);
        for (name, found) in names.into_iter().zip(found) {
            assert_close(
                &format!("{case}: {name}"),
                &found,
                golden.get(case, name),
                1e-5,
            );
        }
        compared += 1;
    }
    assert_eq!((compared, refused, other_padding), (66, 31, 23));
}

#[test]
fn max_pool2d_is_pytorchs() {
    let golden = Golden::read("max_pool2d");
    let (mut compared, mut refused) = (0, 0);
    for case in &golden.cases {
        let mut builder = MaxPool2d::builder(case.size("kernel_size").unwrap())
            .padding(case.size("padding").unwrap())
            .dilation(case.size("dilation").unwrap())
            .ceil_mode(case.bool("ceil_mode"));
        if let Some(stride) = case.size("stride") {
            builder = builder.stride(stride);
        }
        let x = golden.get(case, "x");
        if case.raises {
            let result = builder.build().and_then(|pool| pool.forward(x));
            assert!(result.is_err(), "{case} must be refused");
            refused += 1;
            continue;
        }
        let x = golden.var(case, "x");
        let (y, indices) = builder.build().unwrap().forward_with_indices(&x).unwrap();
        assert_close(&format!("{case}: y"), &y, golden.get(case, "y"), 0.0);
        if let Some(expected) = golden.find(case, "indices") {
            assert_close(&format!("{case}: indices"), &indices, expected, 0.0);
        }
        let found = &gradients(&y, golden.get(case, "grad_y"), &[&x])[0];
        assert_close(
            &format!("{case}: grad_x"),
            found,
            golden.get(case, "grad_x"),
            1e-6,
        );
        compared += 1;
    }
    assert_eq!((compared, refused), (110, 10));
}

#[test]
fn linear_is_pytorchs() {
    let golden = Golden::read("linear");
    let (mut compared, mut refused) = (0, 0);
    for case in &golden.cases {
        let builder = Linear::builder(case.usize("in_features"), case.usize("out_features"))
            .bias(case.bool("bias"));
        if case.raises {
            let fc = builder
                .build(var_builder(DType::F32, &Device::Cpu))
                .unwrap();
            let result = fc.forward(golden.get(case, "x"));
            assert!(result.is_err(), "{case} must be refused");
            refused += 1;
            continue;
        }
        let x = golden.var(case, "x");
        let fc = builder
            .build(VarBuilder::from_tensors(
                golden.named(case, ""),
                DType::F32,
                &Device::Cpu,
            ))
            .unwrap();
        let y = fc.forward(&x).unwrap();
        assert_close(&format!("{case}: y"), &y, golden.get(case, "y"), 1e-5);
        let parameters = fc.named_parameters();
        let mut inputs = vec![&x];
        inputs.extend(parameters.iter().map(|(_, var)| var));
        let found = gradients(&y, golden.get(case, "grad_y"), &inputs);
        let names = ["grad_x", "grad_weight", "grad_bias"];
        for (name, found) in names.into_iter().zip(found) {
            assert_close(
                &format!("{case}: {name}"),
                &found,
                golden.get(case, name),
                1e-5,
            );
        }
        compared += 1;
    }
    assert_eq!((compared, refused), (27, 3));
}

fn cross_entropy(golden: &Golden, case: &Case) -> Result<CrossEntropyLoss> {
    let mut builder = CrossEntropyLoss::builder()
        .ignore_index(case.args["ignore_index"].as_i64().unwrap())
        .reduction(case.str("reduction").unwrap().parse::<Reduction>()?)
        .label_smoothing(case.f64("label_smoothing"));
    if case.bool("weight") {
        builder = builder.weight(golden.get(case, "weight").clone());
    }
    builder.build()
}

#[test]
fn cross_entropy_is_pytorchs() {
    let golden = Golden::read("cross_entropy");
    let (mut compared, mut refused, mut negative_smoothing) = (0, 0, 0);
    for case in &golden.cases {
        let target = golden.get(case, "target");
        if case.raises {
            let x = golden.get(case, "x");
            let result = cross_entropy(&golden, case).and_then(|loss| loss.forward(x, target));
            assert!(result.is_err(), "{case} must be refused");
            refused += 1;
            continue;
        }
        // PyTorch takes it for 0; here it is refused.
        if case.f64("label_smoothing") < 0.0 {
            assert!(cross_entropy(&golden, case).is_err());
            negative_smoothing += 1;
            continue;
        }
        let x = golden.var(case, "x");
        let loss = cross_entropy(&golden, case)
            .unwrap()
            .forward(&x, target)
            .unwrap();
        assert_close(
            &format!("{case}: loss"),
            &loss,
            golden.get(case, "loss"),
            1e-6,
        );
        let found = &gradients(&loss, golden.get(case, "grad_loss"), &[&x])[0];
        assert_close(
            &format!("{case}: grad_x"),
            found,
            golden.get(case, "grad_x"),
            1e-6,
        );
        compared += 1;
    }
    assert_eq!((compared, refused, negative_smoothing), (104, 14, 2));
}

#[test]
fn sgd_is_pytorchs() {
    let golden = Golden::read("optimizers");
    let (mut compared, mut refused) = (0, 0);
    for case in golden.cases.iter().filter(|case| case.op == "SGD") {
        let start = match case.raises {
            true => Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap(),
            false => golden.get(case, "p0").clone(),
        };
        let p = Var::from_tensor(&start).unwrap();
        let sgd = Sgd::builder(vec![p.clone()], case.f64("lr"))
            .momentum(case.f64("momentum"))
            .dampening(case.f64("dampening"))
            .weight_decay(case.f64("weight_decay"))
            .nesterov(case.bool("nesterov"))
            .maximize(case.bool("maximize"))
            .build();
        if case.raises {
            assert!(sgd.is_err(), "{case} must be refused");
            refused += 1;
            continue;
        }
        let mut sgd = sgd.unwrap();
        // PyTorch ran the first of these steps before there was a gradient: nothing may change.
        let nothing = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
        sgd.step(&nothing.backward().unwrap()).unwrap();
        assert_close(&format!("{case}: step 0"), &p, golden.get(case, "p1"), 0.0);
        for step in 1..case.fields["steps"].as_u64().unwrap() {
            let grad = golden.get(case, &format!("grad{step}"));
            let loss = (p.as_tensor() * grad).unwrap().sum_all().unwrap();
            sgd.step(&loss.backward().unwrap()).unwrap();
            let expected = golden.get(case, &format!("p{}", step + 1));
            assert_close(&format!("{case}: step {step}"), &p, expected, 1e-6);
        }
        compared += 1;
    }
    assert_eq!((compared, refused), (11, 5));
}
