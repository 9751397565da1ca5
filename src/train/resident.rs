//! A data set that the device keeps whole, as bytes: a batch then moves its indices and nothing else.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::data::{Batch, Batches, DataLoader, RawImages};

/// The raw images of a data set on a device, and the number that each byte becomes.
pub(super) struct Resident {
    /// (N, C·H·W) of u8.
    bytes: Tensor,
    /// (256) of f32.
    table: Tensor,
    #[cfg(feature = "cuda")]
    pixels: Vec<f64>,
    shape: [usize; 3],
}

impl Resident {
    /// None where the data set has no raw images or they do not fit.
    pub(super) fn new(loader: &DataLoader, device: &Device) -> Result<Option<Self>> {
        let Some(raw) = loader.dataset().raw() else {
            return Ok(None);
        };
        let RawImages {
            bytes,
            table,
            shape,
        } = raw;
        let pixels: usize = shape.iter().product();
        if pixels == 0 || bytes.len() > room(device) {
            return Ok(None);
        }
        let images = (bytes.len() / pixels, pixels);
        Ok(Some(Self {
            bytes: Tensor::from_slice(bytes, images, device)?,
            table: Tensor::from_slice(&table[..], 256, device)?,
            #[cfg(feature = "cuda")]
            pixels: table.iter().map(|&number| number.into()).collect(),
            shape,
        }))
    }

    /// (N, C·H·W) of u8.
    #[cfg(feature = "cuda")]
    pub(super) fn bytes(&self) -> &Tensor {
        &self.bytes
    }

    /// What each byte becomes.
    #[cfg(feature = "cuda")]
    pub(super) fn pixels(&self) -> &[f64] {
        &self.pixels
    }

    /// Channels, rows and columns of an image.
    #[cfg(feature = "cuda")]
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The pass's next batch: images on the device, targets on the CPU.
    pub(super) fn next(&self, batches: &mut Batches) -> Option<Result<Batch>> {
        let dataset = batches.dataset();
        let indices = batches.next_indices()?;
        let places = indices.iter().map(|&index| dataset.raw_index(index));
        Some(places.collect::<Result<Vec<_>>>().and_then(|places| {
            let (rows, targets): (Vec<u32>, Vec<i64>) = places
                .into_iter()
                .map(|(row, target)| (row as u32, target))
                .unzip();
            Ok(Batch {
                images: self.images(rows)?,
                targets: Tensor::new(targets, &Device::Cpu)?,
            })
        }))
    }

    fn images(&self, rows: Vec<u32>) -> Result<Tensor> {
        let n = rows.len();
        let rows = Tensor::from_vec(rows, n, self.bytes.device())?;
        // What the CPU looks up byte by byte. Not by bytes: to candle an index's largest value, 255, means none.
        let bytes = self.bytes.index_select(&rows, 0)?.flatten_all()?;
        let bytes = bytes.to_dtype(DType::U32)?;
        let values = self.table.index_select(&bytes, 0)?;
        let [c, h, w] = self.shape;
        Ok(values.reshape((n, c, h, w))?)
    }
}

/// How many bytes of images may lie on the device: a quarter of its free memory, which the net needs, too.
fn room(device: &Device) -> usize {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            let memory = cuda.cuda_stream().context().mem_get_info();
            memory.map_or(0, |(free, _)| free / 4)
        }
        _ => 1 << 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use crate::data::{Mnist, Subset};
    use crate::transforms::{Normalize, RandomRotation, ToTensor};

    fn values(batch: Batch) -> (Vec<usize>, Vec<u32>, Vec<i64>) {
        let images = batch.images.flatten_all().unwrap();
        let bits = images
            .to_vec1::<f32>()
            .unwrap()
            .into_iter()
            .map(f32::to_bits);
        let targets = batch.targets.to_vec1().unwrap();
        (batch.images.dims().to_vec(), bits.collect(), targets)
    }

    #[test]
    fn its_batches_are_the_loaders_to_the_last_bit() {
        let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081]).unwrap()];
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        let test = Mnist::builder(data).train(false).transform(normalize);
        let test = test.target_transform(|label| label + 1).build().unwrap();
        let odd = Subset::new(test, (0..100).map(|i| 9999 - 2 * i).collect()).unwrap();
        let loader = || {
            let loader = DataLoader::builder(odd.clone()).batch_size(32);
            loader.shuffle(true).seed(5).build().unwrap()
        };
        let expected: Vec<_> = loader()
            .iter()
            .unwrap()
            .map(|b| values(b.unwrap()))
            .collect();
        let own = loader();
        let resident = Resident::new(&own, &Device::Cpu).unwrap().unwrap();
        let mut batches = own.iter().unwrap();
        let found: Vec<_> = std::iter::from_fn(|| resident.next(&mut batches))
            .map(|batch| values(batch.unwrap()))
            .collect();
        assert_eq!(found.len(), 4);
        assert!(found == expected);
        // The generator is where the loader leaves it.
        let again = |loader: &DataLoader| loader.iter().unwrap().order().to_vec();
        let plain = loader();
        plain.iter().unwrap().for_each(drop);
        assert_eq!(again(&own), again(&plain));
    }

    #[test]
    fn images_that_change_from_time_to_time_stay_with_the_loader() {
        let turned = compose![RandomRotation::builder(10).build().unwrap(), ToTensor];
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        let test = Mnist::builder(data)
            .train(false)
            .transform(turned)
            .build()
            .unwrap();
        let loader = DataLoader::builder(test).build().unwrap();
        assert!(Resident::new(&loader, &Device::Cpu).unwrap().is_none());
    }
}
