//! Whole epochs of captured steps, their kernels run on the processor, against the same epochs layer by layer.

use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::loss::CrossEntropyLoss;
use crate::nn::{Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, captured, var_builder};
use crate::optim::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
use crate::random::manual_seed;
use crate::sequential;

mod agree;
mod emulated;

use agree::{Data, How, Make, agree, agree_at};

fn sgd(parameters: Vec<Var>) -> Box<dyn Optimizer> {
    Box::new(
        Sgd::builder(parameters, 0.05)
            .momentum(0.9)
            .build()
            .unwrap(),
    )
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

fn small_net() -> Sequential {
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
    agree(
        &small_net(),
        &Data::new([1, 28, 28], 22, 10),
        8,
        sgd,
        &plain(),
    );
}

fn large_net() -> Sequential {
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
    let net = large_net();
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
        let how = How {
            precision,
            ..How::default()
        };
        agree_at(how, &small_net(), &data, 8, sgd, &plain());
    }
}

#[test]
fn gradients_that_other_ranks_are_sent() {
    let how = How {
        averages: true,
        ..How::default()
    };
    let data = Data::new([1, 28, 28], 22, 10);
    agree_at(how, &small_net(), &data, 8, sgd, &plain());
    let data = Data::new([1, 28, 28], 6, 10);
    agree_at(how, &large_net(), &data, 4, sgd, &plain());
}

#[test]
fn batches_that_are_fed() {
    let how = How {
        fed: true,
        ..How::default()
    };
    let data = Data::new([1, 28, 28], 22, 10);
    agree_at(how, &small_net(), &data, 8, sgd, &plain());
}

/// The fully connected layers' gradients travel while the convolutions' are computed.
#[test]
fn the_last_layers_gradients_are_sent_first() {
    let means = |net: Sequential| {
        let layers = captured(net.layers(), [1, 28, 28]).unwrap();
        let settings = Settings {
            averages: true,
            ..settings([1, 28, 28])
        };
        let plan = Plan::new(&layers, settings).unwrap();
        for (mean, next) in plan.means.iter().zip(&plan.means[1..]) {
            assert_eq!(next.place.offset, mean.place.offset + 4 * mean.numbers);
        }
        let launches = plan.launches.len();
        let means = plan.means.iter();
        let means = means.map(|mean| (launches - mean.after, mean.numbers));
        means.collect::<Vec<_>>()
    };
    // A multiple of 64 numbers for each layer; then the update alone.
    let small = [510, 16_050, 5_020, 260].map(|n: usize| n.next_multiple_of(64));
    assert_eq!(means(small_net()), [(1, small.iter().sum())]);
    let large = [1_290, 1_179_776, 18_496, 320].map(|n: usize| n.next_multiple_of(64));
    let expected = [(6, large[0] + large[1]), (1, large[2] + large[3])];
    assert_eq!(means(large_net()), expected);
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

/// The nets' steps for an H100, at every precision.
pub(crate) fn plans_for_a_card() -> Vec<Plan> {
    let mut plans = Vec::new();
    for net in [small_net(), large_net()] {
        for precision in [Precision::Highest, Precision::High, Precision::Medium] {
            let settings = Settings {
                batch: 64,
                total: 60_000,
                precision,
                ..settings([1, 28, 28])
            };
            let layers = captured(net.layers(), [1, 28, 28]).unwrap();
            plans.push(Plan::new(&layers, settings).unwrap());
        }
    }
    plans
}

#[test]
fn what_a_card_takes() {
    for plan in plans_for_a_card() {
        assert!(plan.launches.len() <= 18);
        // Of the four layers the weights' gradients beside the rest, and what needs them all comes last.
        let aside = plan.launches.iter().filter(|launch| launch.aside);
        assert_eq!(aside.count(), 4);
        assert!(plan.launches.last().is_some_and(|last| !last.aside));
    }
}

fn settings(image: [usize; 3]) -> Settings {
    Settings {
        batch: 4,
        image,
        pixels: Some(vec![0.0; 256]),
        total: 8,
        class_weights: None,
        ignore_index: -100,
        label_smoothing: 0.0,
        optimizer: Some("sgd"),
        real: 4,
        precision: Precision::Highest,
        tiles: &SIZES,
        multiprocessors: 132,
        averages: false,
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
    assert!(!none(small_net(), [1, 28, 28]));
}
