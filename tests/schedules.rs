//! The schedules where the parity suite does not lead: corners, momentum, refusals.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use candlelight::prelude::*;

/// The optimizer's learning rate and momentum in each epoch.
fn run(
    schedule: &mut dyn Schedule,
    optimizer: &mut dyn Optimizer,
    epochs: usize,
) -> (Vec<f64>, Vec<f64>) {
    schedule.apply(optimizer).unwrap();
    let (mut rates, mut momenta) = (vec![], vec![]);
    for epoch in 0..epochs {
        assert_eq!(schedule.last_epoch(), epoch);
        assert_eq!(schedule.lr(), optimizer.lr());
        rates.push(optimizer.lr());
        momenta.push(optimizer.momentum().unwrap());
        if epoch + 1 < epochs {
            schedule.step(optimizer).unwrap();
        }
    }
    (rates, momenta)
}

fn x() -> Var {
    Var::new(1f32, &Device::Cpu).unwrap()
}

fn sgd() -> Sgd {
    Sgd::builder(vec![x()], 1.0).momentum(0.9).build().unwrap()
}

/// Within a few roundings.
fn same(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs();
        assert!(
            error <= 1e-14,
            "{what}: epoch {i} is {got}, expected {expected}"
        );
    }
}

/// What PyTorch 2.15 gives where the cases do not lead.
#[test]
fn the_corners_are_pytorchs() {
    let mut schedule = MultiStepLr::builder(0.1, [3, 0, 3, 5])
        .gamma(0.3)
        .build()
        .unwrap();
    let expected = [0.03, 0.03, 0.03, 0.0027, 0.0027, 0.00081, 0.00081];
    same(
        "milestones",
        &run(&mut schedule, &mut sgd(), 7).0,
        &expected,
    );

    let mut schedule = CosineAnnealingLr::builder(0.1, 3)
        .eta_min(0.01)
        .build()
        .unwrap();
    let expected = [
        0.1, 0.0775, 0.0325, 0.01, 0.0325, 0.0775, 0.1, 0.0775, 0.0325, 0.01, 0.0325,
    ];
    same(
        "two periods",
        &run(&mut schedule, &mut sgd(), 11).0,
        &expected,
    );

    let mut schedule = CosineAnnealingLr::builder(0.1, 1)
        .eta_min(0.01)
        .build()
        .unwrap();
    let expected = [0.1, 0.01, 0.1, 0.01, 0.1];
    same("t_max=1", &run(&mut schedule, &mut sgd(), 5).0, &expected);

    let builder = LinearLr::builder(0.1).start_factor(1.0).end_factor(0.0);
    let mut schedule = builder.total_iters(4).build().unwrap();
    let expected = [0.1, 0.075, 0.05, 0.025, 0.0, 0.0, 0.0];
    same("down to 0", &run(&mut schedule, &mut sgd(), 7).0, &expected);

    let builder = LinearLr::builder(0.1).start_factor(0.5);
    let mut schedule = builder.total_iters(0).build().unwrap();
    same(
        "no iteration",
        &run(&mut schedule, &mut sgd(), 3).0,
        &[0.05; 3],
    );
}

#[test]
fn the_momentum_cycles_as_pytorchs() {
    let mut schedule = OneCycleLr::builder(0.5, 8).build().unwrap();
    let (rates, momenta) = run(&mut schedule, &mut sgd(), 9);
    let expected = [
        0.020000000000000018,
        0.409637552446096,
        0.4859708886937616,
        0.4058728269748815,
        0.2779920070613508,
        0.14153049910434962,
        0.0383207969171282,
        2e-06,
        0.03832079691712817,
    ];
    same("cos", &rates, &expected);
    let expected = [
        0.95,
        0.8688255099070633,
        0.8528058334845816,
        0.8688255099070633,
        0.8944017761948346,
        0.9216941869558779,
        0.9423362099614142,
        0.95,
        0.9423362099614142,
    ];
    same("cos, momentum", &momenta, &expected);

    let mut adam = Adam::builder(vec![x()]).build().unwrap();
    let mut schedule = OneCycleLr::builder_with_epochs(0.5, 2, 5)
        .three_phase(true)
        .anneal_strategy(AnnealStrategy::Linear)
        .pct_start(0.25)
        .base_momentum(0.7)
        .max_momentum(0.99)
        .build()
        .unwrap();
    let (rates, momenta) = run(&mut schedule, &mut adam, 10);
    let expected = [
        0.02,
        0.33999999999999997,
        0.34,
        0.020000000000000018,
        0.016667,
        0.013334,
        0.010001,
        0.006668,
        0.0033349999999999977,
        1.9999999999985307e-06,
    ];
    same("three phases", &rates, &expected);
    let low = 0.7966666666666666;
    let expected = [0.99, low, low, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99];
    same("three phases, momentum", &momenta, &expected);
}

#[test]
fn what_cannot_be_is_refused() {
    let message = |result: Result<()>| result.unwrap_err().to_string();
    let mut schedule = OneCycleLr::builder(0.5, 2).build().unwrap();
    schedule.advance().unwrap();
    schedule.advance().unwrap();
    assert_eq!(
        message(schedule.step(&mut sgd())),
        "OneCycleLr: total_steps=2 is used up: this was step 3; build it with more steps"
    );
    let mut adagrad = Adagrad::builder(vec![x()]).build().unwrap();
    assert_eq!(
        message(schedule.apply(&mut adagrad)),
        "OneCycleLr: cycle_momentum=true needs an optimizer with a momentum or betas; set it to false"
    );
    assert!(adagrad.set_momentum(0.9).is_err());

    // PyTorch divides by zero.
    let error = OneCycleLr::builder(0.5, 20).pct_start(0.05).build();
    assert!(error.unwrap_err().to_string().contains("pct_start=0.05"));
    for (parameter, result) in [
        ("max_lr", OneCycleLr::builder(-0.5, 20).build()),
        ("total_steps", OneCycleLr::builder(0.5, 0).build()),
        ("epochs", OneCycleLr::builder_with_epochs(0.5, 0, 3).build()),
        (
            "steps_per_epoch",
            OneCycleLr::builder_with_epochs(0.5, 3, 0).build(),
        ),
        (
            "pct_start",
            OneCycleLr::builder(0.5, 20).pct_start(-0.1).build(),
        ),
        (
            "div_factor",
            OneCycleLr::builder(0.5, 20).div_factor(0.0).build(),
        ),
        (
            "final_div_factor",
            OneCycleLr::builder(0.5, 20)
                .final_div_factor(f64::NAN)
                .build(),
        ),
        (
            "base_momentum",
            OneCycleLr::builder(0.5, 20).base_momentum(f64::NAN).build(),
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("OneCycleLr: {parameter}=")),
            "{error}"
        );
    }
    assert!(StepLr::builder(0.1, 0).build().is_err());
    assert!(ExponentialLr::builder(f64::INFINITY, 0.9).build().is_err());
    assert!(CosineAnnealingLr::builder(0.1, 0).build().is_err());
    assert!(
        CosineAnnealingLr::builder(0.1, 1)
            .eta_min(f64::NAN)
            .build()
            .is_err()
    );
    assert!(LinearLr::builder(0.1).start_factor(1.5).build().is_err());
    assert!(LinearLr::builder(0.1).end_factor(-0.1).build().is_err());
    assert!(MultiStepLr::builder(-0.1, [1]).build().is_err());
}
