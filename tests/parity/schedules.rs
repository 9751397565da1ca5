//! The schedules: the learning rate of each epoch.

use candlelight::candle_core::{Device, Tensor};
use candlelight::optim::schedule::{
    AnnealStrategy, CosineAnnealingLr, ExponentialLr, LinearLr, MultiStepLr, OneCycleLr, Schedule,
    StepLr,
};
use serde_json::Value;

use crate::case::{Case, Result, count};
use crate::compare::{Answer, answer, close};

pub const TOLERANCE: f64 = 1e-6;

fn boxed<T: Schedule + 'static>(
    built: candlelight::Result<T>,
) -> candlelight::Result<Box<dyn Schedule>> {
    Ok(Box::new(built?))
}

fn build(case: &Case) -> Result<candlelight::Result<Box<dyn Schedule>>> {
    let base_lr = case.f64("base_lr")?;
    let number = Value::as_f64;
    Ok(match case.op.as_str() {
        "StepLR" => {
            let schedule = StepLr::builder(base_lr, case.usize("step_size")?);
            boxed(schedule.gamma(case.f64("gamma")?).build())
        }
        "MultiStepLR" => {
            let milestones = case.arg("milestones", |all| {
                all.as_array()?
                    .iter()
                    .map(count)
                    .collect::<Option<Vec<_>>>()
            })?;
            let schedule = MultiStepLr::builder(base_lr, milestones);
            boxed(schedule.gamma(case.f64("gamma")?).build())
        }
        "ExponentialLR" => boxed(ExponentialLr::builder(base_lr, case.f64("gamma")?).build()),
        "CosineAnnealingLR" => {
            let schedule = CosineAnnealingLr::builder(base_lr, case.usize("T_max")?);
            boxed(schedule.eta_min(case.f64("eta_min")?).build())
        }
        "LinearLR" => boxed(
            LinearLr::builder(base_lr)
                .start_factor(case.f64("start_factor")?)
                .end_factor(case.f64("end_factor")?)
                .total_iters(case.usize("total_iters")?)
                .build(),
        ),
        "OneCycleLR" => {
            let strategy =
                case.optional("anneal_strategy", |strategy| match strategy.as_str()? {
                    "cos" => Some(AnnealStrategy::Cos),
                    "linear" => Some(AnnealStrategy::Linear),
                    _ => None,
                })?;
            let mut schedule = OneCycleLr::builder(case.f64("max_lr")?, case.usize("total_steps")?)
                .anneal_strategy(strategy.unwrap_or_default())
                .cycle_momentum(case.bool("cycle_momentum")?)
                .three_phase(case.bool("three_phase")?);
            if let Some(pct_start) = case.optional("pct_start", number)? {
                schedule = schedule.pct_start(pct_start);
            }
            if let Some(div_factor) = case.optional("div_factor", number)? {
                schedule = schedule.div_factor(div_factor);
            }
            if let Some(final_div_factor) = case.optional("final_div_factor", number)? {
                schedule = schedule.final_div_factor(final_div_factor);
            }
            boxed(schedule.build())
        }
        other => return Err(format!("no schedule {other}").into()),
    })
}

pub fn schedule(case: &Case) -> Result<Answer> {
    answer(case, build(case)?, |mut schedule| {
        let expected = case.get("lr")?;
        let mut rates = Vec::with_capacity(expected.elem_count());
        for epoch in 0..expected.elem_count() {
            if epoch > 0 {
                schedule.advance()?;
            }
            rates.push(schedule.lr());
        }
        close(
            "lr",
            &Tensor::new(rates, &Device::Cpu)?,
            expected,
            TOLERANCE,
        )
    })
}
