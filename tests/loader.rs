//! The loader's own generator and its workers: PyTorch's numbers (`tests/loader/generate.py`), the same
//! batches for any number of workers, and threads that end.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candlelight::Error;
use candlelight::candle_core::bail;
use candlelight::data::{Batches, DataLoaderBuilder};
use candlelight::prelude::*;
use candlelight::random::rand;
use serde_json::Value;

/// A loader draws from the global generator, which is one for all tests: they take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Images that are what `pixel` says of their number.
struct Made<F>(usize, F);

impl<F: Fn(usize) -> Result<f32> + Send + Sync> Dataset for Made<F> {
    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let image = Tensor::full((self.1)(index)?, (1, 1, 1), &Device::Cpu)?;
        Ok((image, index as i64))
    }
}

fn numbers(n: usize) -> Made<impl Fn(usize) -> Result<f32>> {
    Made(n, |index| Ok(index as f32))
}

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string("tests/loader/loader.json").unwrap()).unwrap()
}

fn with_options(builder: DataLoaderBuilder, case: &Value) -> DataLoaderBuilder {
    let size = |name: &str| case[name].as_u64().map(|size| size as usize);
    let builder = builder
        .batch_size(size("batch_size").unwrap())
        .shuffle(case["shuffle"].as_bool().unwrap())
        .drop_last(case["drop_last"].as_bool().unwrap_or(false))
        .num_workers(size("num_workers").unwrap());
    match size("prefetch_factor") {
        Some(factor) => builder.prefetch_factor(factor),
        None => builder,
    }
}

fn targets(batch: &Batch) -> Vec<i64> {
    batch.targets.to_vec1().unwrap()
}

fn pixels(batch: &Batch) -> Vec<f32> {
    batch.images.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn from_a_generator_of_its_own_the_orders_are_pytorchs() {
    let _turn = turn();
    let cases = golden()["own"].as_array().unwrap().clone();
    assert!(cases.len() > 20);
    for case in cases {
        manual_seed(99);
        let seed = case["seed"].as_u64().unwrap();
        let data = numbers(case["n"].as_u64().unwrap() as usize);
        let loader = with_options(DataLoader::builder(data), &case);
        let loader = loader.seed(seed).build().unwrap();
        let lengths = case["lengths"].as_array().unwrap();
        let orders: Vec<Vec<i64>> = lengths
            .iter()
            .map(|length| {
                let batches = loader.iter().unwrap();
                // As Python's loop does: with `break` the batch behind it is not asked for.
                let take = length.as_u64().map_or(usize::MAX, |length| length as usize);
                let batches = batches.take(take).map(|batch| targets(&batch.unwrap()));
                batches.flatten().collect()
            })
            .collect();
        assert_eq!(serde_json::json!(orders), case["orders"], "{case}");
        let next = |values: Vec<f32>, name: &str| {
            assert_eq!(
                values[0],
                case[name].as_f64().unwrap() as f32,
                "{case}: {name}"
            );
        };
        next(rand(1), "global_after");
        let own = loader.generator().unwrap();
        next(own.lock().unwrap().rand(1), "generator_after");
    }
}

#[test]
fn random_images_are_pytorchs_for_the_same_number_of_workers() {
    let _turn = turn();
    for case in golden()["noise"].as_array().unwrap() {
        manual_seed(7);
        let data = Made(case["n"].as_u64().unwrap() as usize, |_| Ok(rand(1)[0]));
        let mut loader = with_options(DataLoader::builder(data), case);
        if let Some(seed) = case["own_seed"].as_u64() {
            loader = loader.seed(seed);
        }
        let loader = loader.build().unwrap();
        for epoch in case["epochs"].as_array().unwrap() {
            let batches = loader.iter().unwrap().map(|batch| pixels(&batch.unwrap()));
            let found: Vec<Vec<f32>> = batches.collect();
            let expected: Vec<Vec<f32>> = serde_json::from_value(epoch.clone()).unwrap();
            assert_eq!(found, expected, "{case}");
        }
    }
}

#[test]
fn the_batches_do_not_depend_on_the_workers() {
    let _turn = turn();
    let test = Mnist::builder("data").train(false).build().unwrap();
    let some = Subset::new(test, (0..500).collect()).unwrap();
    let batches = |workers: usize, factor: usize| -> Vec<(Vec<i64>, Vec<f32>)> {
        let builder = DataLoader::builder(some.clone())
            .batch_size(32)
            .shuffle(true)
            .seed(5);
        let builder = builder.num_workers(workers);
        let loader = match workers {
            0 => builder.build(),
            _ => builder.prefetch_factor(factor).build(),
        };
        let batches = loader.unwrap().iter().unwrap();
        batches
            .map(|batch| batch.unwrap())
            .map(|batch| (targets(&batch), pixels(&batch)))
            .collect()
    };
    let alone = batches(0, 2);
    assert_eq!(alone.len(), 16);
    for (workers, factor) in [
        (1, 1),
        (2, 2),
        (3, 1),
        (5, 7),
        (100, 2),
        (2, usize::MAX),
        (usize::MAX, 1),
    ] {
        assert!(
            batches(workers, factor) == alone,
            "{workers} workers, {factor} ahead"
        );
    }
}

#[test]
fn every_image_comes_once() {
    let _turn = turn();
    for n in [1, 2, 31, 64] {
        for batch_size in [1, 3, 32, 100] {
            for workers in [0, 2] {
                let builder = DataLoader::builder(numbers(n)).batch_size(batch_size);
                let loader = builder.shuffle(true).num_workers(workers).build().unwrap();
                let batches = loader.iter().unwrap();
                assert_eq!(batches.size_hint(), (loader.len(), Some(loader.len())));
                let order = batches.order().to_vec();
                let mut seen: Vec<i64> =
                    batches.flat_map(|batch| targets(&batch.unwrap())).collect();
                assert!(seen.iter().zip(&order).all(|(a, &b)| *a == b as i64));
                seen.sort();
                assert_eq!(seen, (0..n as i64).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn an_error_or_a_panic_stands_in_its_batchs_place() {
    let _turn = turn();
    let fail = |index: usize| match index {
        5 => bail!("image 5 is missing"),
        9 => panic!("image 9\nis odd"),
        _ => Ok(index as f32),
    };
    for workers in [0, 1, 2, 3, 8] {
        let data = Made(13, move |index| Ok(fail(index)?));
        let loader = DataLoader::builder(data).batch_size(2).num_workers(workers);
        let found: Vec<Result<Batch>> = loader.build().unwrap().iter().unwrap().collect();
        assert_eq!(found.len(), 7);
        for (number, batch) in found.into_iter().enumerate() {
            match (number, batch) {
                (2, Err(error)) => assert!(error.to_string().contains("image 5 is missing")),
                (4, Err(error)) => {
                    assert!(matches!(error, Error::DatasetPanicked { batch: 4, .. }));
                    assert_eq!(
                        error.to_string(),
                        "DataLoader: the data set panicked in batch 4 (image 9 is odd); make its get return an error instead"
                    );
                }
                (_, batch) => assert_eq!(targets(&batch.unwrap())[0], 2 * number as i64),
            }
        }
    }
}

/// Counts the images that were asked for.
fn counted(n: usize) -> (Arc<AtomicUsize>, Made<impl Fn(usize) -> Result<f32>>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let data = Made(n, move |index| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(index as f32)
    });
    (count, data)
}

/// Waits until so much is counted, and finds that it stays so.
fn assert_settles(count: &AtomicUsize, expected: usize, what: &str) {
    let count = || count.load(Ordering::SeqCst);
    let start = Instant::now();
    while count() < expected && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(count(), expected, "{what}");
}

#[test]
fn workers_prepare_so_much_ahead_and_no_more() {
    let _turn = turn();
    for (workers, factor) in [(1, 1), (1, 2), (3, 2), (2, 5)] {
        let (count, data) = counted(1000);
        let loader = DataLoader::builder(data)
            .num_workers(workers)
            .prefetch_factor(factor);
        let mut batches = loader.build().unwrap().iter().unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 0);
        for taken in 1..4 {
            batches.next().unwrap().unwrap();
            // The workers whose turn it was go on by one batch for each that was taken.
            let what = format!("{workers} × {factor}");
            assert_settles(&count, workers * factor + taken, &what);
        }
    }
}

#[test]
fn threads_end_with_the_pass() {
    let _turn = turn();
    let (count, data) = counted(1000);
    let builder = DataLoader::builder(data).num_workers(4);
    let loader = builder.build().unwrap();
    let drop_early = |mut batches: Batches| {
        batches.next().unwrap().unwrap();
        drop(batches);
        // Whatever ran has ended: nothing is counted any more.
        let now = count.load(Ordering::SeqCst);
        assert!(now < 20);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(count.load(Ordering::SeqCst), now);
        count.store(0, Ordering::SeqCst);
    };
    drop_early(loader.iter().unwrap());
    drop_early(loader.iter().unwrap());

    // The data set is let go of, too: no thread holds it.
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    let data = Made(50, move |index| {
        let _held = &held;
        Ok(index as f32)
    });
    let loader = DataLoader::builder(data).num_workers(3).build().unwrap();
    let mut batches = loader.iter().unwrap();
    batches.next().unwrap().unwrap();
    drop(loader);
    assert!(weak.upgrade().is_some());
    drop(batches);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_clone_goes_on_at_the_same_batch() {
    let _turn = turn();
    for workers in [0, 1, 2, 3] {
        let builder = DataLoader::builder(numbers(20))
            .batch_size(3)
            .shuffle(true)
            .seed(8);
        let loader = builder.num_workers(workers).build().unwrap();
        let mut batches = loader.iter().unwrap();
        for _ in 0..4 {
            batches.next().unwrap().unwrap();
        }
        let rest = |batches: Batches| -> Vec<i64> {
            batches.flat_map(|batch| targets(&batch.unwrap())).collect()
        };
        let copy = batches.clone();
        assert_eq!(format!("{copy:?}"), "Batches(8 of 20 images to come)");
        let order: Vec<i64> = batches.order()[12..].iter().map(|&i| i as i64).collect();
        assert_eq!(rest(copy), order);
        assert_eq!(rest(batches), order);
        // Both have ended, and the generator has moved on once.
        let mut expected = Generator::new(8);
        expected.random_i64();
        expected.randperm(20);
        expected.randperm(20);
        let own = loader.generator().unwrap();
        assert_eq!(own.lock().unwrap().random_i64(), expected.random_i64());
    }
}

#[test]
fn the_options_are_checked() {
    let _turn = turn();
    let builder = || DataLoader::builder(numbers(3));
    for (builder, message) in [
        (
            builder().prefetch_factor(2),
            "DataLoader: prefetch_factor=2 goes with workers only; set num_workers, or leave it out",
        ),
        (
            builder().num_workers(1).prefetch_factor(0),
            "DataLoader: prefetch_factor=0 must be at least 1; leave it out for 2",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
    let loader = builder().num_workers(2).build().unwrap();
    assert_eq!(
        format!("{loader:?}"),
        "DataLoader(3 images, batch_size=1, shuffle=false, drop_last=false, num_workers=2)"
    );
}
