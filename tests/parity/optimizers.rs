//! The optimizers: some steps along given gradients.

use candlelight::candle_core::{DType, Tensor, Var};
use candlelight::prelude::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
use serde_json::Value;

use crate::case::{Case, Result, device};
use crate::compare::{Answer, answer, close};

pub const TOLERANCE: f64 = 1e-6;

/// Calls each setter whose argument the case has.
macro_rules! set {
    ($builder:expr, $case:expr, $($name:ident: $read:expr),+ $(,)?) => {{
        let mut builder = $builder;
        $(if let Some(value) = $case.optional(stringify!($name), $read)? {
            builder = builder.$name(value);
        })+
        builder
    }};
}

fn pair(value: &Value) -> Option<(f64, f64)> {
    match value.as_array()?.as_slice() {
        [first, second] => Some((first.as_f64()?, second.as_f64()?)),
        _ => None,
    }
}

/// The optimizer `op`, with the case's arguments; the outer error is the case's, the inner the library's.
pub fn build(
    op: &str,
    case: &Case,
    parameters: Vec<Var>,
) -> Result<candlelight::Result<Box<dyn Optimizer>>> {
    let (number, flag) = (Value::as_f64, Value::as_bool);
    fn boxed<T: Optimizer + 'static>(
        built: candlelight::Result<T>,
    ) -> candlelight::Result<Box<dyn Optimizer>> {
        Ok(Box::new(built?))
    }
    Ok(match op {
        "SGD" => {
            let sgd = Sgd::builder(parameters, case.f64("lr")?);
            boxed(
                set!(sgd, case, momentum: number, dampening: number, weight_decay: number,
                    nesterov: flag, maximize: flag)
                .build(),
            )
        }
        "Adam" => {
            let adam = Adam::builder(parameters);
            boxed(
                set!(adam, case, lr: number, betas: pair, eps: number, weight_decay: number,
                    amsgrad: flag, maximize: flag)
                .build(),
            )
        }
        "AdamW" => {
            let adam = AdamW::builder(parameters);
            boxed(
                set!(adam, case, lr: number, betas: pair, eps: number, weight_decay: number,
                    amsgrad: flag, maximize: flag)
                .build(),
            )
        }
        "RMSprop" => {
            let rms_prop = RmsProp::builder(parameters);
            boxed(
                set!(rms_prop, case, lr: number, alpha: number, eps: number, weight_decay: number,
                    momentum: number, centered: flag, maximize: flag)
                .build(),
            )
        }
        "Adagrad" => {
            let adagrad = Adagrad::builder(parameters);
            boxed(
                set!(adagrad, case, lr: number, lr_decay: number, weight_decay: number,
                    initial_accumulator_value: number, eps: number, maximize: flag)
                .build(),
            )
        }
        other => return Err(format!("no optimizer {other}").into()),
    })
}

fn step(optimizer: &mut dyn Optimizer, p: &Var, grad: &Tensor) -> Result<()> {
    let gradients = (p.as_tensor() * grad)?.sum_all()?.backward()?;
    Ok(optimizer.step(&gradients)?)
}

pub fn optimizer(case: &Case) -> Result<Answer> {
    if case.refusal.is_some() {
        let p = Var::zeros((3, 2), DType::F32, device())?;
        return answer(case, build(&case.op, case, vec![p])?, |_| Ok(0.0));
    }
    let start = start(case)?;
    let p = Var::from_tensor(&start)?;
    answer(
        case,
        build(&case.op, case, vec![p.clone()])?,
        |mut optimizer| {
            let steps = case.fields["steps"].as_u64().ok_or("no steps")?;
            let mut error = 0f64;
            for i in 0..steps {
                step(optimizer.as_mut(), &p, case.get(&format!("grad{i}"))?)?;
                let name = format!("p{}", i + 1);
                error = error.max(close(&name, &p, case.get(&name)?, TOLERANCE)?);
            }
            Ok(error)
        },
    )
}

/// Where the first step began. A file may have for `p0` what the first step led to, the same as `p1`; the
/// step itself counts, in what the optimizer remembers. Then it is the point from which the first step
/// leads to `p1`, found by going back by what the step goes forward.
fn start(case: &Case) -> Result<Tensor> {
    let (p0, p1) = (case.get("p0")?, case.get("p1")?);
    let moved = (p1 - p0)?.abs()?.max_all()?.to_dtype(DType::F64)?;
    if moved.to_scalar::<f64>()? > 0.0 {
        return Ok(p0.clone());
    }
    let double = |tensor: &Tensor| tensor.to_dtype(DType::F64);
    let (goal, grad) = (double(p1)?, double(case.get("grad0")?)?);
    let mut start = goal.clone();
    for _ in 0..60 {
        let p = Var::from_tensor(&start)?;
        let mut optimizer = build(&case.op, case, vec![p.clone()])??;
        step(optimizer.as_mut(), &p, &grad)?;
        start = ((start + &goal)? - p.as_tensor())?;
    }
    Ok(start.to_dtype(p0.dtype())?)
}
