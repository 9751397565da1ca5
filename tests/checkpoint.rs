//! A run that stops and goes on from its checkpoint is the run that never stopped, to the last bit.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candlelight::Error;
use candlelight::prelude::*;
use candlelight::random::{get_rng_state, rand};

/// A folder of the test's own, which goes when the test is over.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Tests that draw from the global generator take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn images() -> Subset<Mnist> {
    let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081]).unwrap()];
    let mnist = Mnist::builder("data").train(false).transform(normalize);
    Subset::new(mnist.build().unwrap(), (0..300).collect()).unwrap()
}

fn loader() -> DataLoader {
    let builder = DataLoader::builder(images()).batch_size(64).shuffle(true);
    builder.build().unwrap()
}

type Anyone = Box<dyn Optimizer + Send>;

/// An optimizer by its name, with all that it can remember.
fn optimizer(name: &str, net: &Net) -> Anyone {
    let p = net.parameters();
    match name {
        "Sgd" => Box::new(
            Sgd::builder(p, 0.02)
                .momentum(0.9)
                .nesterov(true)
                .weight_decay(1e-4)
                .build()
                .unwrap(),
        ),
        "Adam" => Box::new(Adam::builder(p).weight_decay(1e-4).build().unwrap()),
        "AdamW" => Box::new(AdamW::builder(p).amsgrad(true).build().unwrap()),
        "RmsProp" => Box::new(
            RmsProp::builder(p)
                .lr(1e-3)
                .momentum(0.5)
                .centered(true)
                .build()
                .unwrap(),
        ),
        "Adagrad" => Box::new(Adagrad::builder(p).lr_decay(0.01).build().unwrap()),
        other => panic!("{other} is not known"),
    }
}

/// As a new process would build it, with first weights that are nobody's.
fn run(name: &str, epochs: usize, path: &Path, seed: u64) -> (Net, Trainer) {
    manual_seed(seed);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
    let criterion = CrossEntropyLoss::builder().build().unwrap();
    let optimizer = optimizer(name, &net);
    let lr = optimizer.lr();
    let builder = Trainer::builder(net.clone(), criterion, optimizer)
        .epochs(epochs)
        .checkpoint(path);
    // Each kind of schedule with one of the optimizers.
    let trainer = match name {
        "Sgd" => builder.schedule(
            OneCycleLr::builder_with_epochs(0.05, 3, 5).build().unwrap(),
            Every::Step,
        ),
        "Adam" => builder.schedule(
            CosineAnnealingLr::builder(lr, 3).build().unwrap(),
            Every::Epoch,
        ),
        "AdamW" => builder.schedule(
            MultiStepLr::builder(lr, [1, 4, 9])
                .gamma(0.5)
                .build()
                .unwrap(),
            Every::Step,
        ),
        "RmsProp" => builder.schedule(LinearLr::builder(lr).build().unwrap(), Every::Step),
        _ => builder.schedule(
            StepLr::builder(lr, 1).gamma(0.7).build().unwrap(),
            Every::Epoch,
        ),
    };
    (net, trainer.build().unwrap())
}

fn bits(net: &Net) -> Vec<u32> {
    let bits = |var: &Var| {
        let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits)
    };
    net.parameters().iter().flat_map(bits).collect()
}

/// All of a history but the seconds.
fn numbers(history: &History) -> Vec<u64> {
    let steps = history.steps.iter();
    let steps = steps.flat_map(|s| [s.step as u64, s.epoch as u64, s.loss.to_bits()]);
    let epochs = history.epochs.iter();
    let loss = |loss: Option<f64>| loss.unwrap().to_bits();
    let epochs = epochs.flat_map(|e| [e.epoch as u64, e.train_loss.to_bits(), loss(e.test_loss)]);
    steps.chain(epochs).collect()
}

#[test]
fn a_run_that_stops_goes_on_as_if_it_had_not() {
    let _turn = turn();
    let folder = folder();
    for name in ["Sgd", "Adam", "AdamW", "RmsProp", "Adagrad"] {
        let path = folder.path().join(name);
        let (whole, mut trainer) = run(name, 3, &path.with_extension("whole"), 1);
        let expected = trainer.fit(&loader(), Some(&loader())).unwrap();
        let generator = get_rng_state();

        let (_, mut trainer) = run(name, 1, &path, 1);
        trainer.fit(&loader(), Some(&loader())).unwrap();

        // Other weights, another place in the random numbers: all must come from the file.
        let (net, mut trainer) = run(name, 3, &path, 2);
        rand(17);
        assert_ne!(bits(&net), bits(&whole), "{name}");
        trainer.resume(&path).unwrap();
        let history = trainer.fit(&loader(), Some(&loader())).unwrap();

        assert_eq!(numbers(&history), numbers(&expected), "{name}");
        assert_eq!(bits(&net), bits(&whole), "{name}");
        assert_eq!(get_rng_state(), generator, "{name}");
        let last = Checkpoint::load(&path).unwrap();
        let other = Checkpoint::load(path.with_extension("whole")).unwrap();
        assert_eq!((last.epoch, other.epoch), (3, 3));
        for (name, tensor) in &last.optimizer {
            let values = |tensor: &Tensor| {
                let tensor = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
                tensor.to_vec1::<f64>().unwrap()
            };
            assert_eq!(
                values(tensor),
                values(other.optimizer.get(name).unwrap()),
                "{name}"
            );
        }
    }
}

/// Loaders that draw from generators of their own, and prepare batches ahead.
#[test]
fn the_loaders_generators_go_on_too() {
    let _turn = turn();
    let folder = folder();
    let own = |seed| {
        DataLoader::builder(images())
            .batch_size(64)
            .shuffle(true)
            .num_workers(2)
            .generator(Arc::new(Mutex::new(Generator::new(seed))))
            .build()
            .unwrap()
    };
    let path = folder.path().join("run");
    let (whole, mut trainer) = run("Adam", 3, &folder.path().join("whole"), 1);
    let expected = trainer.fit(&own(5), Some(&own(6))).unwrap();
    run("Adam", 1, &path, 1)
        .1
        .fit(&own(5), Some(&own(6)))
        .unwrap();

    let (net, mut trainer) = run("Adam", 3, &path, 2);
    trainer.resume(&path).unwrap();
    let history = trainer.fit(&own(7), Some(&own(8))).unwrap();
    assert_eq!(numbers(&history), numbers(&expected));
    assert_eq!(bits(&net), bits(&whole));

    trainer.resume(&path).unwrap();
    let error = trainer.fit(&loader(), None).unwrap_err().to_string();
    assert!(error.starts_with("Checkpoint: a loader has a generator of its own only here"));
    // The checkpoint is still there: with fitting loaders it goes on after its last epoch.
    let history = trainer.fit(&own(7), Some(&own(8))).unwrap();
    assert_eq!(numbers(&history), numbers(&expected));
    assert_eq!(bits(&net), bits(&whole));
}

#[test]
fn after_the_last_epoch_nothing_is_left() {
    let _turn = turn();
    let folder = folder();
    let path = folder.path().join("run");
    let (net, mut trainer) = run("Adam", 1, &path, 1);
    let expected = trainer.fit(&loader(), Some(&loader())).unwrap();
    let before = bits(&net);
    trainer.resume(&path).unwrap();
    let history = trainer.fit(&loader(), Some(&loader())).unwrap();
    assert_eq!(history, expected);
    assert_eq!(bits(&net), before);
    // The run is over: what follows is a new one.
    assert_eq!(trainer.fit(&loader(), None).unwrap().epochs.len(), 1);
    assert_ne!(bits(&net), before);
}

#[test]
fn a_checkpoint_of_another_run_changes_nothing() {
    let _turn = turn();
    let folder = folder();
    let path = folder.path().join("run");
    let (_, mut trainer) = run("Adam", 1, &path, 1);
    trainer.fit(&loader(), None).unwrap();

    let (net, mut trainer) = run("Sgd", 1, &folder.path().join("other"), 2);
    let (before, generator) = (bits(&net), get_rng_state());
    let error = trainer.resume(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Sgd: param_groups.0.momentum is missing; \
         load what an optimizer of the same kind, over the same parameters, has saved"
    );
    assert_eq!((bits(&net), get_rng_state()), (before.clone(), generator));

    // The optimizer fits, the schedule does not: the optimizer is as it was, too.
    let mut adam = Adam::builder(net.parameters()).lr(0.5).build().unwrap();
    let checkpoint = Checkpoint::load(&path).unwrap();
    let mut schedule = StepLr::builder(0.5, 1).build().unwrap();
    let error = checkpoint.restore(&net, &mut adam, Some(&mut schedule));
    assert!(error.unwrap_err().to_string().starts_with("StepLr: "));
    assert_eq!((adam.lr(), bits(&net)), (0.5, before.clone()));
    let error = checkpoint.restore(&net, &mut adam, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Checkpoint: schedule is there, but none to take it; \
         restore it into a run that is built as the saved one was"
    );
    let error = trainer.resume(folder.path().join("none")).unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }));
}

/// What a schedule set, the optimizer takes back: a learning rate that ends at -1.5e-18 by rounding, and one
/// that is meant to be below 0.
#[test]
fn a_learning_rate_at_0_or_below_goes_on() {
    let _turn = turn();
    let folder = folder();
    type Make = fn() -> Box<dyn Schedule + Send>;
    let schedules: [(&str, Make); 2] = [
        ("LinearLr", || {
            let to_0 = LinearLr::builder(0.1).end_factor(0.0);
            Box::new(to_0.build().unwrap())
        }),
        ("CosineAnnealingLr", || {
            let below_0 = CosineAnnealingLr::builder(0.1, 5).eta_min(-0.1);
            Box::new(below_0.build().unwrap())
        }),
    ];
    for (name, schedule) in schedules {
        let run = |epochs, path: &Path, seed| {
            manual_seed(seed);
            let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
            let criterion = CrossEntropyLoss::builder().build().unwrap();
            let sgd = Sgd::builder(net.parameters(), 0.1).build().unwrap();
            let trainer = Trainer::builder(net.clone(), criterion, sgd)
                .epochs(epochs)
                .checkpoint(path)
                .schedule(schedule(), Every::Step);
            (net, trainer.build().unwrap())
        };
        let path = folder.path().join(name);
        let (whole, mut trainer) = run(2, &path.with_extension("whole"), 1);
        trainer.fit(&loader(), None).unwrap();

        run(1, &path, 1).1.fit(&loader(), None).unwrap();
        let saved = Checkpoint::load(&path).unwrap().optimizer;
        assert!(saved.number("param_groups.0.lr").unwrap() < 0.0, "{name}");
        let (net, mut trainer) = run(2, &path, 2);
        trainer.resume(&path).unwrap();
        trainer.fit(&loader(), None).unwrap();
        assert_eq!(bits(&net), bits(&whole), "{name}");
    }
}
