//! The order of batches is PyTorch's.

use std::path::Path;

use candlelight::Error;
use candlelight::prelude::*;

/// Images that are their own number.
struct Numbers(usize);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        Ok((
            Tensor::full(index as f32, (1, 2, 2), &Device::Cpu)?,
            index as i64,
        ))
    }
}

fn epoch(loader: &DataLoader) -> Vec<i64> {
    loader
        .iter()
        .unwrap()
        .flat_map(|batch| batch.unwrap().targets.to_vec1::<i64>().unwrap())
        .collect()
}

#[test]
fn the_order_is_pytorchs() {
    let path = Path::new("tests/golden/seeded.safetensors");
    let golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let cases: serde_json::Value =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    let mut seen = 0;
    for (i, case) in cases
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .filter(|(_, case)| case["op"] == "loader_order")
    {
        let args = &case["args"];
        let number = |name: &str| args[name].as_u64().unwrap();
        let loader = DataLoader::builder(Numbers(number("n") as usize))
            .batch_size(number("batch_size") as usize)
            .shuffle(args["shuffle"].as_bool().unwrap())
            .build()
            .unwrap();
        manual_seed(number("seed"));
        for e in 0..number("epochs") {
            let expected = golden[&format!("{i}/epoch{e}")].to_vec1::<i64>().unwrap();
            assert_eq!(
                epoch(&loader),
                expected,
                "seed {}, epoch {e}",
                number("seed")
            );
        }
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn the_last_batch_is_delivered_unless_dropped() {
    let sizes = |drop_last| -> Vec<usize> {
        let loader = DataLoader::builder(Numbers(10))
            .batch_size(4)
            .drop_last(drop_last)
            .build()
            .unwrap();
        let sizes: Vec<usize> = loader
            .iter()
            .unwrap()
            .map(|batch| batch.unwrap().images.dim(0).unwrap())
            .collect();
        assert_eq!(
            (loader.len(), loader.images()),
            (sizes.len(), sizes.iter().sum())
        );
        sizes
    };
    assert_eq!(sizes(false), [4, 4, 2]);
    assert_eq!(sizes(true), [4, 4]);
}

#[test]
fn without_shuffle_the_order_is_the_data_sets() {
    let loader = DataLoader::builder(Numbers(7))
        .batch_size(3)
        .build()
        .unwrap();
    assert_eq!(epoch(&loader), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(loader.iter().unwrap().order(), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn nothing_to_load_is_an_error() {
    let empty = DataLoader::builder(Numbers(0)).build().unwrap();
    assert!(matches!(
        empty.iter().unwrap_err(),
        Error::EmptyDataset { .. }
    ));
    let all_dropped = DataLoader::builder(Numbers(3))
        .batch_size(4)
        .drop_last(true)
        .build()
        .unwrap();
    assert!(matches!(
        all_dropped.iter().unwrap_err(),
        Error::EmptyDataset { .. }
    ));
    let error = DataLoader::builder(Numbers(3))
        .batch_size(0)
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "DataLoader: batch_size=0 must be at least 1; 64 suits MNIST"
    );
}
