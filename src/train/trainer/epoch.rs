//! An epoch: the steps, and what is told of each.

use std::time::Instant;

use candle_core::{DType, Tensor};

#[cfg(feature = "cuda")]
use super::captured::{OnCard, Source};
#[cfg(feature = "cuda")]
use super::fed::Feeding;
use super::{Every, Trainer};
use crate::data::{Batch, DataLoader};
use crate::ops::backward::backward;
use crate::train::evaluate::{Logits, right};
use crate::train::prefetch::Prefetch;
use crate::train::resident::Resident;
use crate::train::{EpochRecord, History, Progress, StepRecord};
use crate::{Error, Result};

/// What of the training is on the device before an epoch begins.
pub(super) struct OnDevice {
    images: Option<Resident>,
    test_images: Option<Resident>,
    /// Where a card takes a step, and an evaluation, as a whole.
    #[cfg(feature = "cuda")]
    step: Option<OnCard>,
    #[cfg(feature = "cuda")]
    feeding: Feeding,
    #[cfg(feature = "cuda")]
    test: Option<OnCard>,
}

impl OnDevice {
    pub(super) fn new(
        trainer: &Trainer,
        train: &DataLoader,
        test: Option<&DataLoader>,
    ) -> Result<Self> {
        let images = trainer.resident(Some(train))?;
        let test_images = trainer.resident(test)?;
        // Without images there a step is captured at the first batch, which has the shape.
        #[cfg(feature = "cuda")]
        let feeding = match images.is_none() && trainer.device.is_cuda() {
            true => Feeding::Untried,
            false => Feeding::Never,
        };
        Ok(Self {
            #[cfg(feature = "cuda")]
            step: match feeding {
                Feeding::Never => {
                    let source = images.as_ref().map(Source::Resident);
                    OnCard::new(trainer, train, source)?
                }
                _ => None,
            },
            #[cfg(feature = "cuda")]
            feeding,
            #[cfg(feature = "cuda")]
            test: OnCard::for_test(trainer, test, test_images.as_ref())?,
            images,
            test_images,
        })
    }
}

/// What a step or an evaluation found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) loss: f64,
    pub(super) right: usize,
    pub(super) n: usize,
}

/// Of an epoch so far.
pub(super) struct Tally {
    start: Instant,
    images: usize,
    right: usize,
    losses: f64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            images: 0,
            right: 0,
            losses: 0.0,
        }
    }
}

impl Trainer {
    pub(super) fn epoch(
        &mut self,
        train: &DataLoader,
        on_device: &mut OnDevice,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<EpochRecord> {
        if let Some(sampler) = train.sampler() {
            sampler.set_epoch(progress.epoch - 1);
        }
        let tally = self.steps(train, on_device, progress, history)?;
        Ok(EpochRecord {
            epoch: progress.epoch,
            train_loss: progress.loss,
            train_accuracy: progress.accuracy,
            test_loss: None,
            test_accuracy: None,
            seconds: tally.start.elapsed().as_secs_f64(),
            images: tally.images,
        })
    }

    fn steps(
        &mut self,
        train: &DataLoader,
        on_device: &mut OnDevice,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<Tally> {
        #[cfg(feature = "cuda")]
        if let Some(step) = &mut on_device.step {
            return self.epoch_on_card(step, train, progress, history);
        }
        let mut tally = Tally::new();
        #[cfg_attr(not(feature = "cuda"), expect(unused_mut))]
        let mut batches = train.iter()?;
        #[cfg(feature = "cuda")]
        let first = on_device.feeding.first(&mut batches)?;
        #[cfg(feature = "cuda")]
        if let Some(step) = on_device.feeding.step(self, train, first.as_ref())? {
            return self.epoch_fed(step, first, batches, tally, progress, history);
        }
        let resident = on_device.images.as_ref();
        let mut batches = Prefetch::new(batches, train, resident, &self.device)?;
        #[cfg(feature = "cuda")]
        if let Some(first) = first {
            batches.give_back(first);
        }
        while let Some(batch) = batches.next() {
            let Batch { images, targets } = batch?;
            let (loss, right) = self.step(&images, &targets, &mut batches)?;
            let n = targets.dim(0)?;
            let found = self.of_all(vec![Found { loss, right, n }])?;
            self.go_on(Every::Step)?;
            for found in found {
                self.record(found, &mut tally, progress, history);
            }
        }
        Ok(tally)
    }

    /// Loss and accuracy on the test set.
    pub(super) fn evaluate(
        &self,
        test: &DataLoader,
        on_device: &mut OnDevice,
    ) -> Result<(f64, f64)> {
        #[cfg(feature = "cuda")]
        if let Some(card) = &mut on_device.test {
            return self.all_shares(card.evaluate(test)?);
        }
        self.evaluate_shared(test, on_device.test_images.as_ref())
    }

    /// Writes a step down and tells of it.
    pub(super) fn record(
        &mut self,
        Found { loss, right, n }: Found,
        tally: &mut Tally,
        progress: &mut Progress,
        history: &mut History,
    ) {
        tally.images += n;
        tally.right += right;
        tally.losses += loss * n as f64;
        let accuracy = right as f64 / n as f64;
        history.steps.push(StepRecord {
            step: history.steps.len() + 1,
            epoch: progress.epoch,
            loss,
            accuracy,
        });
        *progress = Progress {
            step: progress.step + 1,
            loss: tally.losses / tally.images as f64,
            accuracy: tally.right as f64 / tally.images as f64,
            batch_loss: loss,
            batch_accuracy: accuracy,
            images_per_second: tally.images as f64 / tally.start.elapsed().as_secs_f64(),
            ..*progress
        };
        self.report(progress);
    }

    /// One batch: its loss and how many the net got right, both before the step.
    fn step(
        &mut self,
        images: &Tensor,
        targets: &Tensor,
        batches: &mut Prefetch<'_>,
    ) -> Result<(f64, usize)> {
        let logits = self.net.forward(&images.to_device(&self.device)?)?;
        let loss = self.criterion.forward(&logits, targets)?;
        if loss.rank() != 0 {
            return Err(Error::WrongShape {
                layer: "Trainer",
                what: "loss",
                got: loss.dims().to_vec(),
                expected: "(), one number".into(),
                cure: "build the criterion with the reduction mean".into(),
            });
        }
        // Not before: here most of the work is one thread's, and the others have time for it.
        batches.meanwhile(|| {
            let gradients = match &self.reducer {
                Some(reducer) => reducer.backward(&loss)?,
                None => backward(&loss)?,
            };
            self.optimizer.step(&gradients)
        })?;
        let loss = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let predictions = Logits::read(&logits, targets.dim(0)?)?.predictions();
        Ok((loss, right(&predictions, &targets.to_vec1::<i64>()?)))
    }
}
