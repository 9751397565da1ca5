//! What moves with a network to its device. Here there is one device: a move to it is none, and to other variables
//! on it is what a move to another device is.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use candlelight::prelude::*;

fn loss(net: &Net, images: &Tensor) -> Tensor {
    net.forward(images)
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap()
}

fn values(net: &impl Network) -> Vec<Vec<f32>> {
    let parameters = net.parameters();
    let values = parameters
        .iter()
        .map(|var| var.flatten_all().unwrap().to_vec1().unwrap());
    values.collect()
}

fn net_and_images() -> (Net, Tensor) {
    // Not the global generator: the tests beside this one draw from it.
    let generator = Arc::new(Mutex::new(Generator::new(4)));
    let vb = var_builder_from(generator, DType::F32, &Device::Cpu);
    let net = Net::new(vb).unwrap();
    let images = Generator::new(1).rand(4 * 28 * 28);
    (
        net,
        Tensor::from_vec(images, (4, 1, 28, 28), &Device::Cpu).unwrap(),
    )
}

#[test]
fn a_net_that_is_there_shares_its_variables() {
    let (net, images) = net_and_images();
    let there = net.to_device(&Device::Cpu).unwrap();
    let zeros = net.parameters()[0].zeros_like().unwrap();
    net.parameters()[0].set(&zeros).unwrap();
    assert!(values(&there) == values(&net));
    let vb = var_builder(DType::F32, &Device::Cpu);
    let layers = sequential![
        Conv2d::builder(1, 2, 3).build(vb.pp("conv")).unwrap(),
        Relu,
        Flatten,
        Linear::builder(2 * 26 * 26, 10).build(vb.pp("fc")).unwrap(),
    ];
    let there = layers.to_device(&Device::Cpu).unwrap();
    assert_eq!(there.to_string(), layers.to_string());
    layers.parameters()[1]
        .set(&Tensor::ones(2, DType::F32, &Device::Cpu).unwrap())
        .unwrap();
    let output = |net: &Sequential| net.forward(&images).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(output(&there), output(&layers));
}

/// Steps on one net; or two on it and the third on another with the same values.
fn run(mut optimizer: impl Optimizer, net: &Net, images: &Tensor, moved: bool) -> Vec<Vec<f32>> {
    let mut net = net.clone();
    for step in 0..3 {
        if moved && step == 2 {
            let there = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
            there.load_state_dict(&net.state_dict().unwrap()).unwrap();
            optimizer.to_device(there.parameters()).unwrap();
            net = there;
        }
        optimizer
            .step(&loss(&net, images).backward().unwrap())
            .unwrap();
    }
    values(&net)
}

#[test]
fn an_optimizer_takes_what_it_remembers_with_it() {
    type Build = fn(Vec<Var>) -> Box<dyn Optimizer>;
    let boxed: [Build; 5] = [
        |p| Box::new(Sgd::builder(p, 0.1).momentum(0.9).build().unwrap()),
        |p| Box::new(Adam::builder(p).amsgrad(true).build().unwrap()),
        |p| Box::new(AdamW::builder(p).build().unwrap()),
        |p| {
            Box::new(
                RmsProp::builder(p)
                    .momentum(0.5)
                    .centered(true)
                    .build()
                    .unwrap(),
            )
        },
        |p| Box::new(Adagrad::builder(p).build().unwrap()),
    ];
    for optimizer in boxed {
        let results = [false, true].map(|moved| {
            let (net, images) = net_and_images();
            run(optimizer(net.parameters()), &net, &images, moved)
        });
        assert!(results[0] == results[1]);
    }
}

#[test]
fn other_parameters_are_refused_and_nothing_changes() {
    let (net, images) = net_and_images();
    let mut sgd = Sgd::builder(net.parameters(), 0.1).build().unwrap();
    let error = sgd.to_device(net.parameters()[1..].to_vec()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Sgd: parameters=7 must be the 8 that the optimizer has, moved"
    );
    let mut other = net.parameters();
    other.swap(0, 1);
    let error = sgd.to_device(other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Sgd: parameters=[10] of F32 must be number 0 of the optimizer's, moved, which is [10, 1, 5, 5] of F32"
    );
    let before = values(&net);
    sgd.step(&loss(&net, &images).backward().unwrap()).unwrap();
    assert!(values(&net) != before);
}
