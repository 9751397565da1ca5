//! The optimizers against PyTorch's: the steps, the refusals, and training runs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use candlelight::candle_core::backprop::GradStore;
use candlelight::prelude::*;
use common::{Case, Golden, assert_close};

/// The optimizer of a case, with what the case does not say left at its default.
fn optimizer(case: &Case, p: Vec<Var>) -> Result<Box<dyn Optimizer>> {
    let number = |name: &str| case.args[name].as_f64();
    let flag = |name: &str| case.args[name].as_bool();
    let betas = || {
        let betas = case.args["betas"].as_array()?;
        Some((betas[0].as_f64()?, betas[1].as_f64()?))
    };
    macro_rules! build {
        ($builder:expr, $($set:ident: $value:expr),*) => {{
            let mut builder = $builder;
            $(if let Some(value) = $value(stringify!($set)) {
                builder = builder.$set(value);
            })*
            Ok(Box::new(builder.build()?))
        }};
    }
    match case.op.as_str() {
        "SGD" => build!(Sgd::builder(p, case.f64("lr")), momentum: number, dampening: number,
            weight_decay: number, nesterov: flag, maximize: flag),
        "Adam" => build!(Adam::builder(p), lr: number, betas: |_| betas(), eps: number,
            weight_decay: number, amsgrad: flag, maximize: flag),
        "AdamW" => build!(AdamW::builder(p), lr: number, betas: |_| betas(), eps: number,
            weight_decay: number, amsgrad: flag, maximize: flag),
        "RMSprop" => build!(RmsProp::builder(p), lr: number, alpha: number, eps: number,
            weight_decay: number, momentum: number, centered: flag, maximize: flag),
        "Adagrad" => {
            build!(Adagrad::builder(p), lr: number, lr_decay: number, weight_decay: number,
            initial_accumulator_value: number, eps: number, maximize: flag)
        }
        other => panic!("{other} is not known"),
    }
}

/// Gradients in which `var` has this one.
fn gradients(var: &Var, gradient: &Tensor) -> GradStore {
    let loss = (var.as_tensor() * gradient).unwrap().sum_all().unwrap();
    loss.backward().unwrap()
}

/// Where PyTorch began. The file's `p0` is what the first step led to, the same as its `p1`; the step
/// itself counts, in the optimizer's buffers. With a weight decay these depend on the beginning: it is
/// the fixed point of going back by what the step went forward.
fn beginning(golden: &Golden, case: &Case) -> Tensor {
    let f64 = |name: &str| golden.get(case, name).to_dtype(DType::F64).unwrap();
    let (end, gradient) = (f64("p1"), f64("grad0"));
    let mut start = end.clone();
    for _ in 0..60 {
        let p = Var::from_tensor(&start).unwrap();
        let mut optimizer = optimizer(case, vec![p.clone()]).unwrap();
        optimizer.step(&gradients(&p, &gradient)).unwrap();
        start = ((start + &end).unwrap() - p.as_tensor()).unwrap();
    }
    start.to_dtype(golden.get(case, "p0").dtype()).unwrap()
}

#[test]
fn the_steps_are_pytorchs() {
    let golden = Golden::read("optimizers");
    let (mut compared, mut refused) = (0, 0);
    for case in &golden.cases {
        if case.raises {
            let var = Var::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
            assert!(optimizer(case, vec![var]).is_err(), "{case}");
            refused += 1;
            continue;
        }
        let p = Var::from_tensor(&beginning(&golden, case)).unwrap();
        let mut optimizer = optimizer(case, vec![p.clone()]).unwrap();
        for step in 0..case.fields["steps"].as_u64().unwrap() {
            let gradient = golden.get(case, &format!("grad{step}"));
            optimizer.step(&gradients(&p, gradient)).unwrap();
            let expected = golden.get(case, &format!("p{}", step + 1));
            assert_close(&format!("{case}: step {step}"), &p, expected, 1e-6);
        }
        compared += 1;
    }
    assert_eq!((compared, refused), (60, 10));
}
