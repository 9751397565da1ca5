//! The same seed gives the same bits on any number of threads.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use candlelight::prelude::*;

/// The weights after a few steps, as bits.
fn train<N: Network>(build: impl Fn(VarBuilder<'_>) -> Result<N>, batch_size: usize) -> Vec<u32> {
    let mut generator = Generator::new(1);
    let source = std::sync::Arc::new(std::sync::Mutex::new(Generator::new(0)));
    let net = build(var_builder_from(source, DType::F32, &Device::Cpu)).unwrap();
    let criterion = CrossEntropyLoss::builder().build().unwrap();
    let mut sgd = Sgd::builder(net.parameters(), 0.05)
        .momentum(0.9)
        .weight_decay(1e-4)
        .build()
        .unwrap();
    for _ in 0..3 {
        let pixels = generator.rand(batch_size * 784);
        let images = Tensor::from_vec(pixels, (batch_size, 1, 28, 28), &Device::Cpu).unwrap();
        let targets: Vec<i64> = (0..batch_size)
            .map(|_| generator.random_i64() % 10)
            .collect();
        let targets = Tensor::new(targets, &Device::Cpu).unwrap();
        let loss = criterion
            .forward(&net.forward(&images).unwrap(), &targets)
            .unwrap();
        sgd.step(&loss.backward().unwrap()).unwrap();
    }
    let bits = |var: &Var| {
        let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits)
    };
    net.parameters().iter().flat_map(bits).collect()
}

fn same_on_any_number_of_threads<N: Network>(
    build: impl Fn(VarBuilder<'_>) -> Result<N> + Copy + Send + Sync,
    batch_size: usize,
) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| train(build, batch_size))
    };
    let one = on(1);
    for threads in [2, 3, 5] {
        assert!(
            one == on(threads),
            "{threads} threads, batch size {batch_size}"
        );
    }
}

#[test]
fn the_small_net_does_not_depend_on_the_threads() {
    for batch_size in [1, 13, 64] {
        same_on_any_number_of_threads(Net::new, batch_size);
    }
}

#[test]
fn the_large_net_does_not_depend_on_the_threads() {
    // 9: one row is left when eight go to another thread.
    for batch_size in [9, 20, 33] {
        same_on_any_number_of_threads(LargeNet::new, batch_size);
    }
}
