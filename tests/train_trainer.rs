//! The training loop: what it records and reports, the same numbers on any number of threads, and
//! what happens where it cannot go well.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use candlelight::Error;
use candlelight::loss::Reduction;
use candlelight::prelude::*;

/// The first images of the test set.
#[derive(Clone)]
struct First(Mnist, usize);

impl First {
    fn new(count: usize) -> Self {
        let normalize = Normalize::new([0.1307], [0.3081]).unwrap();
        let mnist = Mnist::builder("data")
            .train(false)
            .transform(compose![ToTensor, normalize]);
        Self(mnist.build().unwrap(), count)
    }
}

impl Dataset for First {
    fn len(&self) -> usize {
        self.1
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        self.0.get(index)
    }
}

fn loader(count: usize, batch_size: usize) -> DataLoader {
    DataLoader::builder(First::new(count))
        .batch_size(batch_size)
        .shuffle(true)
        .build()
        .unwrap()
}

fn net() -> Net {
    manual_seed(0);
    Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap()
}

fn trainer(net: &Net, lr: f64) -> candlelight::train::TrainerBuilder {
    let sgd = Sgd::builder(net.parameters(), lr)
        .momentum(0.9)
        .build()
        .unwrap();
    Trainer::builder(
        net.clone(),
        CrossEntropyLoss::builder().build().unwrap(),
        sgd,
    )
}

#[test]
fn history_and_progress_tell_the_same() {
    let _turn = turn();
    let net = net();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let seen = reports.clone();
    let mut trainer = trainer(&net, 0.01)
        .epochs(2)
        .on_progress(move |progress| seen.lock().unwrap().push(*progress))
        .build()
        .unwrap();
    let history = trainer
        .fit(&loader(300, 64), Some(&loader(100, 64)))
        .unwrap();

    // 300 images: four batches of 64 and one of 44, each epoch.
    assert_eq!(history.steps.len(), 10);
    assert_eq!(
        history
            .steps
            .iter()
            .map(|step| step.step)
            .collect::<Vec<_>>(),
        Vec::from_iter(1..=10)
    );
    assert_eq!(history.epochs.len(), 2);
    let first: Vec<f64> = history.steps[..5].iter().map(|step| step.loss).collect();
    let mean = (first[..4].iter().sum::<f64>() * 64.0 + first[4] * 44.0) / 300.0;
    assert!((history.epochs[0].train_loss - mean).abs() < 1e-12);
    assert!(history.epochs[1].train_loss < history.epochs[0].train_loss);

    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 12);
    assert_eq!(reports.iter().filter(|report| report.epoch_done).count(), 2);
    let last = reports[11];
    assert!(last.done && last.epoch_done && (last.step, last.steps, last.epoch) == (5, 5, 2));
    assert_eq!(last.test_accuracy, history.epochs[1].test_accuracy);
    assert!(last.test_accuracy.is_some());

    let evaluation = evaluate(&net, &loader(100, 7)).unwrap();
    assert_eq!(Some(evaluation.accuracy), last.test_accuracy);
    assert!((evaluation.loss - last.test_loss.unwrap()).abs() < 1e-6);
    assert_eq!(history.plot().unwrap(), history.plot().unwrap());
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let _turn = turn();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let net = net();
            let mut trainer = trainer(&net, 0.01).epochs(2).build().unwrap();
            let history = trainer
                .fit(&loader(200, 64), Some(&loader(100, 64)))
                .unwrap();
            let test: Vec<_> = history
                .epochs
                .iter()
                .map(|epoch| epoch.test_loss.map(f64::to_bits))
                .collect();
            (
                history
                    .steps
                    .iter()
                    .map(|step| step.loss.to_bits())
                    .collect::<Vec<_>>(),
                test,
            )
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn a_net_that_diverges_is_reported_not_refused() {
    let _turn = turn();
    let net = net();
    let mut trainer = trainer(&net, 1e20).epochs(2).build().unwrap();
    let history = trainer
        .fit(&loader(300, 64), Some(&loader(100, 64)))
        .unwrap();
    assert_eq!(history.steps.len(), 10);
    assert!(history.diverged_at().is_some());
    assert!(
        history
            .to_string()
            .ends_with("train again with a lower learning rate"),
        "{history}"
    );
    history.plot().unwrap();

    let evaluation = evaluate(&net, &loader(100, 64)).unwrap();
    assert!(!evaluation.loss.is_finite());
    let worst = evaluation.worst(5);
    let again = evaluation.worst(5);
    assert_eq!(
        worst
            .iter()
            .map(|mistake| mistake.index)
            .collect::<Vec<_>>(),
        again
            .iter()
            .map(|mistake| mistake.index)
            .collect::<Vec<_>>()
    );
}

#[test]
fn nothing_to_train_on_is_an_error() {
    let _turn = turn();
    let net = net();
    let mut trainer = trainer(&net, 0.01).build().unwrap();
    let empty = trainer.fit(&loader(0, 64), None).unwrap_err();
    assert!(matches!(empty, Error::EmptyDataset { what: "Trainer" }));
    let empty = trainer
        .fit(&loader(64, 64), Some(&loader(0, 64)))
        .unwrap_err();
    assert!(matches!(empty, Error::EmptyDataset { .. }));
    assert!(matches!(
        evaluate(&net, &loader(0, 64)),
        Err(Error::EmptyDataset { .. })
    ));
    // Images, but no whole batch of them.
    let dropped = DataLoader::builder(First::new(3)).batch_size(8);
    let dropped = dropped.drop_last(true).build().unwrap();
    assert!(matches!(
        evaluate(&net, &dropped),
        Err(Error::EmptyDataset { what: "evaluate" })
    ));
}

#[test]
fn bad_options_are_refused() {
    let _turn = turn();
    let net = net();
    let error = trainer(&net, 0.01).epochs(0).build().unwrap_err();
    assert_eq!(error.to_string(), "Trainer: epochs=0 must be at least 1");

    let sgd = Sgd::builder(net.parameters(), 0.01).build().unwrap();
    let each = CrossEntropyLoss::builder()
        .reduction(Reduction::None)
        .build()
        .unwrap();
    let mut trainer = Trainer::builder(net, each, sgd).build().unwrap();
    let error = trainer.fit(&loader(8, 4), None).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::WrongShape {
                layer: "Trainer",
                what: "loss",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_net_that_gives_no_rows_of_classes_is_refused() {
    struct Flat(Linear);
    impl Network for Flat {
        fn forward(&self, images: &Tensor) -> Result<Tensor> {
            Ok(self.0.forward(&images.flatten_from(1)?)?.flatten_all()?)
        }
        fn named_parameters(&self) -> Vec<(String, Var)> {
            self.0.named_parameters()
        }
    }
    let _turn = turn();
    let flat = Flat(
        Linear::builder(784, 10)
            .build(var_builder(DType::F32, &Device::Cpu))
            .unwrap(),
    );
    let error = evaluate(&flat, &loader(4, 2)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the net: output has shape [20], expected (2, classes)"),
        "{error}"
    );
}

#[test]
fn an_evaluation_keeps_the_data_sets_numbers() {
    let _turn = turn();
    let net = net();
    let in_order = DataLoader::builder(First::new(50))
        .batch_size(8)
        .build()
        .unwrap();
    let plain = evaluate(&net, &in_order).unwrap();
    let shuffled = evaluate(&net, &loader(50, 8)).unwrap();
    assert_ne!(plain.indices, shuffled.indices);
    let indices = |evaluation: &Evaluation| {
        evaluation
            .worst(6)
            .iter()
            .map(|m| m.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(indices(&plain), indices(&shuffled));
    let sums = plain
        .probabilities
        .sum(1)
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
fn a_confusion_counts_and_refuses() {
    let confusion = Confusion::new(&[0, 0, 1, 2], &[0, 1, 1, 0], 3).unwrap();
    assert_eq!(confusion.counts(), [[1, 1, 0], [0, 1, 0], [1, 0, 0]]);
    assert_eq!(
        (
            confusion.accuracy(),
            confusion.recall(0),
            confusion.precision(2)
        ),
        (0.5, Some(0.5), None)
    );
    assert!(
        confusion
            .to_string()
            .starts_with("true\\predicted     0     1     2\n             0     1     1     0")
    );
    confusion.plot().unwrap();
    let error = Confusion::new(&[0], &[3], 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class 3 is out of range; there are 3, numbered from 0"
    );
    assert!(Confusion::new(&[0, 1], &[0], 3).is_err());
    assert!(Confusion::new(&[], &[], 0).unwrap().plot().is_err());
}

#[test]
fn a_device_is_picked_with_its_reason() {
    let picked = best_device().unwrap();
    assert!(picked.to_string().starts_with(&picked.name()));
    assert_eq!(
        "cpu".parse::<DeviceChoice>().unwrap().to_string(),
        "cpu (asked for)"
    );
    let error = "tpu".parse::<DeviceChoice>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "device tpu: not known; use auto, cpu, cuda or metal, the last two with a number where there are several, such as cuda:1"
    );
    if picked.name() == "cpu" {
        assert!(
            "cuda"
                .parse::<DeviceChoice>()
                .unwrap_err()
                .to_string()
                .ends_with("use cpu")
        );
    }
}

/// Tests that draw from the global generator take turns.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
