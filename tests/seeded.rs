//! The same seed gives PyTorch's numbers: draws, permutations, first weights, a loader's order.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};

use candlelight::prelude::*;
use common::{Case, Golden};

fn generator(case: &Case) -> Generator {
    Generator::new(case.args["seed"].as_u64().unwrap())
}

fn cases<'a>(golden: &'a Golden, op: &str) -> Vec<&'a Case> {
    let cases: Vec<_> = golden.cases.iter().filter(|case| case.op == op).collect();
    assert_eq!(cases.len(), 6, "{op}");
    cases
}

fn order(golden: &Golden, case: &Case, name: &str) -> Vec<usize> {
    let order = golden.get(case, name).to_vec1::<i64>().unwrap();
    order.into_iter().map(|i| i as usize).collect()
}

#[test]
fn rand_is_pytorchs() {
    let golden = Golden::read("seeded");
    for case in cases(&golden, "rand") {
        let expected = golden.get(case, "values").to_vec1::<f32>().unwrap();
        assert_eq!(generator(case).rand(case.usize("n")), expected, "{case}");
    }
}

#[test]
fn randperm_is_pytorchs() {
    let golden = Golden::read("seeded");
    for case in cases(&golden, "randperm") {
        let expected = order(&golden, case, "values");
        assert!(
            generator(case).randperm(case.usize("n")) == expected,
            "{case}"
        );
    }
}

#[test]
fn the_first_weights_are_pytorchs() {
    let golden = Golden::read("seeded");
    for case in cases(&golden, "net_init") {
        let source = Arc::new(Mutex::new(generator(case)));
        let net = Net::new(var_builder_from(source, DType::F32, &Device::Cpu)).unwrap();
        let parameters = net.named_parameters();
        assert_eq!(parameters.len(), 8);
        for (name, var) in parameters {
            let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = golden.get(case, &name);
            assert_eq!(var.dims(), expected.dims());
            assert!(flat(&var) == flat(expected), "{case}: {name}");
        }
    }
}

/// What PyTorch's `DataLoader` draws when an epoch begins: a seed for its workers, then one for
/// the order.
#[test]
fn the_order_of_a_loader_is_pytorchs() {
    let golden = Golden::read("seeded");
    for case in cases(&golden, "loader_order") {
        let mut global = generator(case);
        for epoch in 0..case.usize("epochs") {
            global.random_i64();
            let seed = global.random_i64() as u64;
            let found = Generator::new(seed).randperm(case.usize("n"));
            assert_eq!(
                found,
                order(&golden, case, &format!("epoch{epoch}")),
                "{case}"
            );
        }
    }
}
