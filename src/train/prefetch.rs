//! The next batch, prepared while the net works on this one.

use candle_core::Device;

use super::resident::Resident;
#[cfg(feature = "cuda")]
use super::upload::{Sent, Uploader};
use crate::Result;
use crate::data::{Batch, Batches, DataLoader};

/// A pass over a loader, one batch ahead where its data set allows that.
pub(super) struct Prefetch<'a> {
    batches: Batches,
    /// Where the images come from instead.
    resident: Option<&'a Resident>,
    #[cfg(feature = "cuda")]
    uploader: Option<Uploader>,
    ahead: bool,
    /// What was prepared: a batch, or that there is none.
    next: Option<Option<Result<Prepared>>>,
}

/// A batch; where there is a card, on the way there.
#[cfg(feature = "cuda")]
type Prepared = Sent;
#[cfg(not(feature = "cuda"))]
type Prepared = Batch;

impl<'a> Prefetch<'a> {
    pub(super) fn new(
        batches: Batches,
        loader: &DataLoader,
        resident: Option<&'a Resident>,
        device: &Device,
    ) -> Result<Self> {
        // Workers are ahead by themselves, but for the copy to a card.
        let workers = loader.num_workers() > 0;
        let ahead = match device.is_cuda() {
            true => workers || loader.dataset().can_prefetch(),
            false => !workers && loader.dataset().can_prefetch(),
        };
        Ok(Self {
            batches,
            resident,
            #[cfg(feature = "cuda")]
            uploader: match resident {
                Some(_) => None,
                None => Uploader::new(device)?,
            },
            // Of what lies on the device there is nothing to prepare.
            ahead: ahead && resident.is_none(),
            next: None,
        })
    }

    /// The index of each image in the data set.
    pub(super) fn order(&self) -> &[usize] {
        self.batches.order()
    }

    /// The next batch.
    pub(super) fn next(&mut self) -> Option<Result<Batch>> {
        let prepared = match (self.next.take(), self.resident) {
            (Some(prepared), _) => prepared,
            (None, Some(resident)) => return resident.next(&mut self.batches),
            (None, None) => self.prepare(),
        };
        Some(prepared?.and_then(|prepared| self.receive(prepared)))
    }

    fn prepare(&mut self) -> Option<Result<Prepared>> {
        let batch = self.batches.next()?;
        Some(batch.and_then(|batch| self.send(batch)))
    }

    /// Gives a batch back that was taken from the loader: the next one.
    #[cfg(feature = "cuda")]
    pub(super) fn give_back(&mut self, batch: Batch) {
        self.next = Some(Some(self.send(batch)));
    }

    #[cfg(feature = "cuda")]
    fn send(&mut self, batch: Batch) -> Result<Sent> {
        match &mut self.uploader {
            Some(uploader) => uploader.send(batch),
            None => Ok(Sent::Whole(batch)),
        }
    }

    #[cfg(feature = "cuda")]
    fn receive(&mut self, sent: Sent) -> Result<Batch> {
        match (sent, &self.uploader) {
            (Sent::Whole(batch), _) => Ok(batch),
            (sent, Some(uploader)) => uploader.receive(sent),
            (_, None) => unreachable!("sent without an uploader"),
        }
    }

    #[cfg(not(feature = "cuda"))]
    fn send(&mut self, batch: Batch) -> Result<Batch> {
        Ok(batch)
    }

    #[cfg(not(feature = "cuda"))]
    fn receive(&mut self, batch: Batch) -> Result<Batch> {
        Ok(batch)
    }

    /// Calls `work`; a thread that has nothing else to do prepares the next batch.
    pub(super) fn meanwhile<R>(&mut self, work: impl FnOnce() -> R) -> R {
        if !self.ahead || self.next.is_some() {
            return work();
        }
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| self.next = Some(self.prepare()));
            work()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Mnist, Subset};

    #[test]
    fn every_batch_comes_once_and_in_order() {
        let mnist = Mnist::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
        let test = Subset::new(mnist.train(false).build().unwrap(), (0..50).collect()).unwrap();
        let loader = DataLoader::builder(test).batch_size(8).build().unwrap();
        let plain: Vec<_> = loader
            .iter()
            .unwrap()
            .map(|batch| values(batch.unwrap()))
            .collect();
        let mut batches =
            Prefetch::new(loader.iter().unwrap(), &loader, None, &Device::Cpu).unwrap();
        assert!(batches.ahead);
        let mut found = Vec::new();
        while let Some(batch) = batches.next() {
            found.push(batches.meanwhile(|| values(batch.unwrap())));
        }
        assert_eq!(found, plain);
        assert!(batches.next().is_none());
    }

    fn values(batch: Batch) -> (Vec<f32>, Vec<i64>) {
        let images = batch.images.flatten_all().unwrap();
        (images.to_vec1().unwrap(), batch.targets.to_vec1().unwrap())
    }
}
