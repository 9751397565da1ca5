//! What a loader delivers. That its order is PyTorch's is in the parity suite.
#![allow(clippy::unwrap_used)]

use candlelight::Error;
use candlelight::prelude::*;

/// Images that are their own number.
#[derive(Clone)]
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
fn an_order_that_does_not_fit_into_memory_is_an_error() {
    for shuffle in [false, true] {
        let loader = DataLoader::builder(Numbers(usize::MAX)).shuffle(shuffle);
        assert_eq!(
            loader.build().unwrap().iter().unwrap_err().to_string(),
            format!(
                "DataLoader: len={} makes an order that does not fit into memory; \
                 check the data set's len",
                usize::MAX
            )
        );
    }
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

#[test]
fn a_subset_is_loaded_by_its_own_numbers() {
    let few = Subset::new(Numbers(10), vec![9, 2, 4]).unwrap();
    let loader = DataLoader::builder(few.clone())
        .batch_size(2)
        .build()
        .unwrap();
    assert_eq!(epoch(&loader), [9, 2, 4]);
    assert!(matches!(
        few.get(3),
        Err(Error::IndexOutOfRange {
            index: 3,
            len: 3,
            ..
        })
    ));
    assert!(matches!(
        Subset::new(Numbers(10), vec![10]),
        Err(Error::IndexOutOfRange { index: 10, .. })
    ));
}
