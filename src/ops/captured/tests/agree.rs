//! An epoch of captured steps against the same epoch layer by layer.

use candle_core::{Device, Tensor, Var};

use super::super::*;
use super::emulated::{numbers, run};
use crate::loss::CrossEntropyLoss;
use crate::nn::{Network, Sequential, captured};
use crate::optim::{Fused, Optimizer};
use crate::random::Generator;

/// Images as bytes, and the classes that they are said to be.
pub(super) struct Data {
    pub(super) shape: [usize; 3],
    pub(super) bytes: Vec<u8>,
    pub(super) order: Vec<u32>,
    pub(super) targets: Vec<i64>,
    pub(super) pixels: Vec<f64>,
}

impl Data {
    pub(super) fn new(shape: [usize; 3], total: usize, classes: i64) -> Self {
        let mut generator = Generator::new(11);
        let mut below = |n: u64| generator.random_i64() as u64 % n;
        // More than an epoch takes, and one of them twice.
        let stored = total + 3;
        let bytes = (0..stored * shape.iter().product::<usize>()).map(|_| below(256) as u8);
        let bytes = bytes.collect();
        Self {
            shape,
            bytes,
            order: (0..total).map(|_| below(stored as u64) as u32).collect(),
            targets: (0..total).map(|_| below(classes as u64) as i64).collect(),
            pixels: (0..256)
                .map(|byte| (f64::from(byte) - 33.0) / 79.0)
                .collect(),
        }
    }

    /// The images of an epoch, from one to before another.
    pub(super) fn images(&self, from: usize, to: usize) -> Vec<f64> {
        let pixels: usize = self.shape.iter().product();
        let image = |&row: &u32| {
            let start = row as usize * pixels;
            let bytes = self.bytes[start..start + pixels].iter();
            bytes.map(|&byte| self.pixels[usize::from(byte)])
        };
        self.order[from..to].iter().flat_map(image).collect()
    }

    fn batch(&self, from: usize, to: usize) -> (Tensor, Tensor) {
        let [c, h, w] = self.shape;
        let images = self.images(from, to);
        let images = Tensor::from_vec(images, (to - from, c, h, w), &Device::Cpu).unwrap();
        (
            images,
            Tensor::new(&self.targets[from..to], &Device::Cpu).unwrap(),
        )
    }
}

#[track_caller]
fn near(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= 1e-11 * (1.0 + expected.abs());
        assert!(near, "{what}: number {i} is {found}, expected {expected}");
    }
}

pub(super) type Make = fn(Vec<Var>) -> Box<dyn Optimizer>;

/// What a card is asked for besides the net.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    pub(super) precision: Precision,
    /// Of one rank, which has the mean of its gradients when it has them.
    pub(super) averages: bool,
    /// Of images that are fed.
    pub(super) fed: bool,
}

/// The epoch layer by layer and as a card takes it.
pub(super) fn agree(
    net: &Sequential,
    data: &Data,
    batch: usize,
    make: Make,
    criterion: &CrossEntropyLoss,
) {
    agree_at(How::default(), net, data, batch, make, criterion);
}

pub(super) fn agree_at(
    how: How,
    net: &Sequential,
    data: &Data,
    batch: usize,
    make: Make,
    criterion: &CrossEntropyLoss,
) {
    let total = data.order.len();
    let copies = || -> Vec<Var> {
        let parameters = net.parameters();
        let copy = |var: &Var| Var::from_tensor(&var.copy().unwrap()).unwrap();
        parameters.iter().map(copy).collect()
    };
    let rule = criterion.rule();
    let layers = captured(net.layers(), data.shape).expect("layers that a card takes");
    let mut optimizer = make(copies());
    let (rule_name, _) = optimizer.fuses().unwrap();
    let steps = total.div_ceil(batch);
    let steps: Vec<Fused> = (0..steps).map(|_| optimizer.fused().unwrap()).collect();
    let parameters = &steps[steps.len() - 1].parameters;
    let settings = Settings {
        batch,
        image: data.shape,
        pixels: (!how.fed).then(|| data.pixels.clone()),
        total,
        class_weights: rule.weight.clone(),
        ignore_index: rule.ignore_index,
        label_smoothing: rule.smoothing,
        optimizer: Some(rule_name),
        real: 8,
        precision: how.precision,
        tiles: &SIZES,
        multiprocessors: 132,
        averages: how.averages,
    };
    let evaluation = Settings {
        optimizer: None,
        ..settings.clone()
    };
    let plan = Plan::new(&layers, settings).expect("a plan");
    let batch = plan.batch;
    let weight = |target: &i64| match &rule.weight {
        _ if *target == rule.ignore_index => 0.0,
        Some(weight) => weight[*target as usize],
        None => 1.0,
    };
    let divisors = data
        .targets
        .chunks(batch)
        .map(|batch| batch.iter().map(weight).sum());
    let divisors: Vec<f64> = divisors.collect();
    let Some((losses, right, values, buffers)) = run(&plan, data, parameters, &steps, &divisors)
    else {
        return;
    };

    // Only evaluated: the losses of the first weights.
    let evaluation = Plan::new(&layers, evaluation).expect("a plan");
    let (only_losses, ..) = run(&evaluation, data, parameters, &[], &divisors).expect("a run");
    assert_eq!(only_losses[..batch], losses[..batch]);
    assert!(total <= batch || only_losses[batch..] != losses[batch..]);

    let mut optimizer = make(net.parameters());
    let mut found = 0;
    for (step, from) in (0..total).step_by(batch).enumerate() {
        let to = total.min(from + batch);
        let (images, targets) = data.batch(from, to);
        let logits = net.forward(&images).unwrap();
        let best = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
        for (i, best) in best.into_iter().enumerate() {
            assert_eq!(right[from + i], i64::from(best) == data.targets[from + i]);
            found += usize::from(right[from + i]);
        }
        let loss = criterion.forward(&logits, &targets).unwrap();
        let own = losses[from..to].iter().sum::<f64>() / divisors[step];
        near(
            &format!("the loss of step {step}"),
            &[own],
            &[loss.to_scalar().unwrap()],
        );
        optimizer.step(&loss.backward().unwrap()).unwrap();
    }
    assert!(found > 0 && found < total);
    for (i, (own, expected)) in values.iter().zip(net.parameters()).enumerate() {
        near(&format!("parameter {i}"), own, &numbers(&expected));
    }
    let expected = optimizer.fused().unwrap().parameters;
    let expected = expected.iter().flat_map(|(_, buffers)| buffers);
    for (own, expected) in buffers.iter().zip(expected) {
        near(
            "a buffer",
            own,
            &expected.as_ref().map(numbers).unwrap_or_default(),
        );
    }
}
