//! After the same seed, PyTorch's losses to the last bit: a hundred steps of SGD from `manual_seed` alone.
//!
//! The losses are those of PyTorch 2.15 with two threads on x86 with AVX-512; here any number of threads and
//! any x86 with AVX2 and FMA gives them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::Mutex;

use candlelight::compose;
use candlelight::prelude::*;

/// Both tests draw from the one generator.
static TURN: Mutex<()> = Mutex::new(());

fn golden(file: &str) -> HashMap<String, Tensor> {
    let path = format!("{}/tests/parity/{file}", env!("CARGO_MANIFEST_DIR"));
    candlelight::candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn mnist() -> Mnist {
    let transform = compose![ToTensor, Normalize::new([0.1307], [0.3081]).unwrap()];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    Mnist::builder(root).transform(transform).build().unwrap()
}

/// Whether this processor can give the same bits; says so where it cannot.
fn fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        return true;
    }
    println!("skipped: this processor lacks AVX2 and FMA");
    false
}

fn same(name: &str, net: &Net, mut sgd: Sgd, loader: &DataLoader, expected: &Tensor) {
    let expected: Vec<f32> = expected.to_vec1().unwrap();
    let criterion = CrossEntropyLoss::builder().build().unwrap();
    let batches = loader.iter().unwrap().zip(&expected);
    for (step, (batch, expected)) in batches.enumerate() {
        let Batch { images, targets } = batch.unwrap();
        let loss = criterion
            .forward(&net.forward(&images).unwrap(), &targets)
            .unwrap();
        sgd.step(&loss.backward().unwrap()).unwrap();
        let loss: f32 = loss.to_scalar().unwrap();
        assert!(
            loss == *expected,
            "{name}, step {step}: {loss:?}, PyTorch {expected:?}"
        );
    }
}

/// `torch.manual_seed(seed)`, net, loader with `shuffle=True`, 100 steps.
#[test]
fn from_the_seed_alone() {
    if !fused() {
        return;
    }
    let _turn = TURN.lock().unwrap();
    let golden = golden("seeded.safetensors");
    for (case, seed) in [(4, 0), (9, 1), (14, 42)] {
        manual_seed(seed);
        let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
        let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.5);
        let loader = DataLoader::builder(mnist()).batch_size(64).shuffle(true);
        let losses = &golden[&format!("{case}/losses")];
        let (sgd, loader) = (sgd.build().unwrap(), loader.build().unwrap());
        same(&format!("seed {seed}"), &net, sgd, &loader, losses);
    }
}

/// 200 steps at a learning rate where PyTorch with one thread and with two soon part.
#[test]
fn with_nesterov_and_weight_decay() {
    if !fused() {
        return;
    }
    let _turn = TURN.lock().unwrap();
    let golden = golden("training.safetensors");
    let first = golden.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("2/init.")?;
        Some((name.to_string(), tensor.clone()))
    });
    let first = VarBuilder::from_tensors(first.collect(), DType::F32, &Device::Cpu);
    let net = Net::new(first).unwrap();
    let order: Vec<i64> = golden["2/order"].to_vec1().unwrap();
    let order = order.into_iter().map(|i| i as usize).collect();
    let loader = DataLoader::builder(Subset::new(mnist(), order).unwrap()).batch_size(64);
    let sgd = Sgd::builder(net.parameters(), 0.05)
        .momentum(0.9)
        .nesterov(true)
        .weight_decay(5e-4);
    let (sgd, loader) = (sgd.build().unwrap(), loader.build().unwrap());
    same("Nesterov", &net, sgd, &loader, &golden["2/losses"]);
}
