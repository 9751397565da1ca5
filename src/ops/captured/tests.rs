//! Whole epochs of captured steps, their kernels run on the processor, against the same epochs layer by layer.

use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::loss::CrossEntropyLoss;
use crate::nn::{
    Conv2d, Flatten, Linear, MaxPool2d, Network, Relu, Sequential, captured, var_builder,
};
use crate::optim::{Adagrad, Adam, AdamW, Fused, Optimizer, RmsProp, Sgd};
use crate::random::{Generator, manual_seed};
use crate::sequential;

mod emulated;

use emulated::{numbers, run};

/// Images as bytes, and the classes that they are said to be.
struct Data {
    shape: [usize; 3],
    bytes: Vec<u8>,
    order: Vec<u32>,
    targets: Vec<i64>,
    pixels: Vec<f64>,
}

impl Data {
    fn new(shape: [usize; 3], total: usize, classes: i64) -> Self {
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

    fn batch(&self, from: usize, to: usize) -> (Tensor, Tensor) {
        let pixels: usize = self.shape.iter().product();
        let image = |&row: &u32| {
            let start = row as usize * pixels;
            let bytes = self.bytes[start..start + pixels].iter();
            bytes.map(|&byte| self.pixels[usize::from(byte)])
        };
        let values: Vec<f64> = self.order[from..to].iter().flat_map(image).collect();
        let [c, h, w] = self.shape;
        let images = Tensor::from_vec(values, (to - from, c, h, w), &Device::Cpu).unwrap();
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

type Make = fn(Vec<Var>) -> Box<dyn Optimizer>;

fn sgd(parameters: Vec<Var>) -> Box<dyn Optimizer> {
    Box::new(
        Sgd::builder(parameters, 0.05)
            .momentum(0.9)
            .build()
            .unwrap(),
    )
}

/// The epoch layer by layer and as a card takes it.
fn agree(net: &Sequential, data: &Data, batch: usize, make: Make, criterion: &CrossEntropyLoss) {
    agree_at(Precision::Highest, net, data, batch, make, criterion);
}

fn agree_at(
    precision: Precision,
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
        pixels: data.pixels.clone(),
        total,
        class_weights: rule.weight.clone(),
        ignore_index: rule.ignore_index,
        label_smoothing: rule.smoothing,
        optimizer: Some(rule_name),
        real: 8,
        precision,
        multiprocessors: 132,
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

fn builder(name: &str) -> candle_nn::VarBuilder<'static> {
    var_builder(DType::F64, &Device::Cpu).pp(name)
}

fn conv(options: crate::nn::Conv2dBuilder, name: &str) -> Conv2d {
    options.build(builder(name)).unwrap()
}

fn linear(inputs: usize, outputs: usize, name: &str) -> Linear {
    Linear::builder(inputs, outputs)
        .build(builder(name))
        .unwrap()
}

fn pool() -> MaxPool2d {
    MaxPool2d::builder(2).build().unwrap()
}

fn plain() -> CrossEntropyLoss {
    CrossEntropyLoss::builder().build().unwrap()
}

fn small() -> Sequential {
    manual_seed(5);
    sequential![
        conv(Conv2d::builder(1, 10, 5), "0"),
        pool(),
        Relu,
        conv(Conv2d::builder(10, 20, 5), "3"),
        pool(),
        Relu,
        Flatten,
        linear(320, 50, "7"),
        Relu,
        linear(50, 10, "9"),
    ]
}

#[test]
fn the_small_net() {
    agree(&small(), &Data::new([1, 28, 28], 22, 10), 8, sgd, &plain());
}

fn large() -> Sequential {
    manual_seed(6);
    sequential![
        conv(Conv2d::builder(1, 32, 3), "0"),
        Relu,
        conv(Conv2d::builder(32, 64, 3), "2"),
        Relu,
        pool(),
        Flatten,
        linear(9216, 128, "6"),
        Relu,
        linear(128, 10, "8"),
    ]
}

#[test]
fn the_large_net() {
    let net = large();
    agree(&net, &Data::new([1, 28, 28], 6, 10), 4, sgd, &plain());
}

#[test]
fn strides_paddings_dilations_odd_sizes() {
    manual_seed(7);
    let net = sequential![
        conv(
            Conv2d::builder(3, 5, (3, 2)).padding((2, 1)).stride((2, 1)),
            "0"
        ),
        Relu,
        conv(Conv2d::builder(5, 7, 3).padding(1).bias(false), "1"),
        pool(),
        conv(
            Conv2d::builder(7, 33, 2)
                .dilation((1, 2))
                .padding((0, 2))
                .stride(2),
            "2"
        ),
        Flatten,
        linear(33 * 4, 9, "3"),
        linear(9, 4, "4"),
    ];
    agree(&net, &Data::new([3, 9, 12], 25, 4), 7, sgd, &plain());
}

#[test]
fn tensor_cores() {
    for precision in [Precision::High, Precision::Medium] {
        let data = Data::new([1, 28, 28], 22, 10);
        agree_at(precision, &small(), &data, 8, sgd, &plain());
    }
}

#[test]
fn a_net_without_a_convolution() {
    manual_seed(8);
    let net = sequential![Flatten, linear(30, 3, "0")];
    agree(&net, &Data::new([2, 5, 3], 40, 3), 16, sgd, &plain());
}

#[test]
fn every_optimizer() {
    let makes: [Make; 4] = [
        |p| {
            Box::new(
                Sgd::builder(p, 0.1)
                    .weight_decay(0.01)
                    .momentum(0.5)
                    .nesterov(true)
                    .build()
                    .unwrap(),
            )
        },
        |p| {
            Box::new(
                Adam::builder(p)
                    .amsgrad(true)
                    .weight_decay(0.1)
                    .build()
                    .unwrap(),
            )
        },
        |p| {
            Box::new(
                RmsProp::builder(p)
                    .momentum(0.5)
                    .centered(true)
                    .build()
                    .unwrap(),
            )
        },
        |p| {
            Box::new(
                Adagrad::builder(p)
                    .lr_decay(0.1)
                    .initial_accumulator_value(0.2)
                    .build()
                    .unwrap(),
            )
        },
    ];
    let data = Data::new([1, 8, 8], 40, 5);
    for make in makes {
        manual_seed(9);
        let net = sequential![
            conv(Conv2d::builder(1, 3, 3), "0"),
            pool(),
            Relu,
            Flatten,
            linear(27, 5, "1")
        ];
        agree(&net, &data, 16, make, &plain());
    }
}

#[test]
fn weights_of_classes_smoothing_and_what_does_not_count() {
    manual_seed(10);
    let net = sequential![Flatten, linear(12, 4, "0")];
    let weight = Tensor::new(&[0.5, 2.0, 1.0, 3.0], &Device::Cpu).unwrap();
    let criterion = CrossEntropyLoss::builder()
        .weight(weight)
        .ignore_index(2)
        .label_smoothing(0.1);
    let make: Make = |p| Box::new(AdamW::builder(p).lr(0.01).build().unwrap());
    agree(
        &net,
        &Data::new([1, 3, 4], 50, 4),
        8,
        make,
        &criterion.build().unwrap(),
    );
}

/// The nets' kernels for an H100, at every precision; written down for CUDA's compiler, which CI runs on them.
#[test]
fn what_a_card_takes() {
    for (name, net) in [("small", small()), ("large", large())] {
        for precision in [Precision::Highest, Precision::High, Precision::Medium] {
            let settings = Settings {
                batch: 64,
                total: 60_000,
                precision,
                ..settings([1, 28, 28])
            };
            let layers = captured(net.layers(), [1, 28, 28]).unwrap();
            let plan = Plan::new(&layers, settings).unwrap();
            assert!(plan.launches.len() <= 18);
            // A weight's gradient for each layer beside the rest, and what needs them all comes last.
            let aside = plan.launches.iter().filter(|launch| launch.aside);
            assert_eq!(aside.count(), layers.len());
            assert!(plan.launches.last().is_some_and(|last| !last.aside));
            if let Some(folder) = std::env::var_os("CANDLELIGHT_KERNELS") {
                let path = Path::new(&folder).join(format!("{name}-{precision}.cu"));
                std::fs::write(path, format!("{KERNELS}\n{}", plan.source().0)).unwrap();
            }
        }
    }
}

fn settings(image: [usize; 3]) -> Settings {
    Settings {
        batch: 4,
        image,
        pixels: vec![0.0; 256],
        total: 8,
        class_weights: None,
        ignore_index: -100,
        label_smoothing: 0.0,
        optimizer: Some("sgd"),
        real: 4,
        precision: Precision::Highest,
        multiprocessors: 132,
    }
}

#[test]
fn what_a_card_does_not_take() {
    let none = |net: Sequential, image: [usize; 3]| {
        captured(net.layers(), image)
            .is_none_or(|layers| Plan::new(&layers, settings(image)).is_none())
    };
    let grouped = conv(Conv2d::builder(2, 4, 3).groups(2), "0");
    assert!(none(
        sequential![grouped, Flatten, linear(4, 3, "1")],
        [2, 3, 3]
    ));
    // Zeros that a filter lies in alone.
    let wide = conv(Conv2d::builder(1, 1, 1).padding(1), "2");
    assert!(none(
        sequential![wide, Flatten, linear(25, 3, "3")],
        [1, 3, 3]
    ));
    let overlapping = MaxPool2d::builder(3).stride(1).build().unwrap();
    let net = sequential![
        conv(Conv2d::builder(1, 1, 1), "4"),
        overlapping,
        Flatten,
        linear(1, 3, "5")
    ];
    assert!(none(net, [1, 3, 3]));
    assert!(none(
        sequential![Flatten, linear(9, 3, "6"), Relu],
        [1, 3, 3]
    ));
    assert!(none(
        sequential![conv(Conv2d::builder(1, 1, 3), "7")],
        [1, 3, 3]
    ));
    // And what it does.
    assert!(!none(small(), [1, 28, 28]));
}
