//! The same seed gives PyTorch's numbers: draws, permutations, first weights, a loader's order.

use std::sync::{Arc, Mutex};

use candlelight::candle_core::{DType, Device, Tensor};
use candlelight::prelude::{
    DataLoader, Dataset, Generator, Net, Network, manual_seed, var_builder_from,
};
use serde_json::Value;

use crate::case::{Case, Result};
use crate::compare::{Answer, equal};

pub fn seed(case: &Case) -> Result<u64> {
    case.arg("seed", Value::as_u64)
}

fn generator(case: &Case) -> Result<Generator> {
    Ok(Generator::new(seed(case)?))
}

fn integers(values: impl IntoIterator<Item = usize>) -> Result<Tensor> {
    let values: Vec<i64> = values.into_iter().map(|value| value as i64).collect();
    Ok(Tensor::new(values, &Device::Cpu)?)
}

pub fn rand(case: &Case) -> Result<Answer> {
    let values = generator(case)?.rand(case.usize("n")?);
    let values = Tensor::new(values, &Device::Cpu)?;
    Ok(Answer::Agrees(equal(
        "values",
        &values,
        case.get("values")?,
    )?))
}

pub fn randperm(case: &Case) -> Result<Answer> {
    let order = integers(generator(case)?.randperm(case.usize("n")?))?;
    Ok(Answer::Agrees(equal(
        "values",
        &order,
        case.get("values")?,
    )?))
}

pub fn net_init(case: &Case) -> Result<Answer> {
    let source = Arc::new(Mutex::new(generator(case)?));
    let net = Net::new(var_builder_from(source, DType::F32, &Device::Cpu))?;
    for (name, var) in net.named_parameters() {
        equal(&name, &var, case.get(&name)?)?;
    }
    Ok(Answer::Agrees(0.0))
}

/// Images that are their own number.
struct Numbers(usize);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> candlelight::Result<(Tensor, i64)> {
        let image = Tensor::full(index as f32, (1, 1, 1), &Device::Cpu)?;
        Ok((image, index as i64))
    }
}

pub fn loader_order(case: &Case) -> Result<Answer> {
    let loader = DataLoader::builder(Numbers(case.usize("n")?))
        .batch_size(case.usize("batch_size")?)
        .shuffle(case.bool("shuffle")?)
        .build()?;
    manual_seed(seed(case)?);
    for epoch in 0..case.usize("epochs")? {
        let mut order = vec![];
        for batch in loader.iter()? {
            order.extend(batch?.targets.to_vec1::<i64>()?);
        }
        let name = format!("epoch{epoch}");
        let order = Tensor::new(order, &Device::Cpu)?;
        equal(&name, &order, case.get(&name)?)?;
    }
    Ok(Answer::Agrees(0.0))
}
