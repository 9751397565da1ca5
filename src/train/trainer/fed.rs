//! Epochs of a captured step whose images a card does not keep: those that a transform changes from time to time, those that
//! do not fit. Each batch is copied there while the steps before it run.

use candle_core::{DType, Tensor};

use super::captured::{OnCard, Source};
use super::epoch::Tally;
use super::steps::Steps;
use super::{Every, Trainer};
use crate::data::{Batch, Batches, DataLoader};
use crate::ops::cuda::fed::Fed;
use crate::ops::cuda::pass::Pass;
use crate::train::{History, Progress};
use crate::{Error, Result};

/// Whether a loader's batches are fed to a captured step.
pub(super) enum Feeding {
    /// The first batch says.
    Untried,
    Never,
    Step(Box<OnCard>),
}

impl Feeding {
    /// The pass's first batch, where it has to be looked at.
    pub(super) fn first(&self, batches: &mut Batches) -> Result<Option<Batch>> {
        match self {
            Self::Untried => batches.next().transpose(),
            _ => Ok(None),
        }
    }

    /// The step, where a card takes it.
    pub(super) fn step(
        &mut self,
        trainer: &Trainer,
        train: &DataLoader,
        first: Option<&Batch>,
    ) -> Result<Option<&mut OnCard>> {
        if let (Self::Untried, Some(first)) = (&*self, first) {
            let source = shape(&first.images).map(Source::Batches);
            *self = match OnCard::new(trainer, train, source)? {
                Some(step) => Self::Step(Box::new(step)),
                None => Self::Never,
            };
        }
        match self {
            Self::Step(step) => Ok(Some(step)),
            _ => Ok(None),
        }
    }
}

/// Of a batch's images, where they are f32 and on the CPU.
fn shape(images: &Tensor) -> Option<[usize; 3]> {
    let fit = images.dtype() == DType::F32 && images.device().is_cpu();
    match images.dims() {
        &[_, c, h, w] if fit => Some([c, h, w]),
        _ => None,
    }
}

impl Trainer {
    /// An epoch whose batches are fed, the first of which may have been taken.
    pub(super) fn epoch_fed(
        &mut self,
        on_card: &mut OnCard,
        first: Option<Batch>,
        batches: Batches,
        mut tally: Tally,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<Tally> {
        let images = batches.order().len();
        let (batch, shape) = (on_card.captured.plan().batch, on_card.shape);
        let mut pass = Pass::new(images);
        let mut divisors = Vec::new();
        for (step, taken) in first.into_iter().map(Ok).chain(batches).enumerate() {
            let taken = taken?;
            let n = images.min((step + 1) * batch) - step * batch;
            let pixels = pixels(&taken.images, n, shape)?;
            let targets = taken.targets.to_vec1::<i64>()?;
            for (position, &target) in targets.iter().enumerate() {
                on_card.check(target, position, self.criterion.rule().ignore_index)?;
            }
            divisors.push(self.divisor(&targets));
            let fused = self.optimizer.fused()?;
            let parameters = on_card.ordered(fused.parameters);
            let fed = Fed {
                images: &pixels,
                targets: &targets,
                divisor: divisors[step],
                numbers: fused.numbers,
                parameters: &parameters,
            };
            on_card.captured.feed(&mut pass, &fed)?;
            self.go_on(Every::Step)?;
            let of = Steps {
                batch,
                images,
                divisors: &divisors,
            };
            if let Some((first, steps)) = on_card.captured.found(&mut pass)? {
                self.record_steps(first, steps, of, &mut tally, progress, history)?;
            }
        }
        let of = Steps {
            batch,
            images,
            divisors: &divisors,
        };
        for (first, steps) in on_card.captured.rest(pass)? {
            self.record_steps(first, steps, of, &mut tally, progress, history)?;
        }
        Ok(tally)
    }
}

/// Of `n` images of the shape that the step was captured for.
fn pixels(images: &Tensor, n: usize, [c, h, w]: [usize; 3]) -> Result<Vec<f32>> {
    if images.dims() != [n, c, h, w] || images.dtype() != DType::F32 {
        return Err(Error::WrongShape {
            layer: "Trainer",
            what: "batch of images",
            got: images.dims().to_vec(),
            expected: format!("[{n}, {c}, {h}, {w}] of f32, as the first batch's"),
            cure: "have the data set give images of one shape".into(),
        });
    }
    Ok(images.flatten_all()?.to_vec1::<f32>()?)
}
