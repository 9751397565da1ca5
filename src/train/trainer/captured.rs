//! Epochs and evaluations of a captured step, where a CUDA card takes it and keeps the images: every number of the optimizer
//! is there, too, before the epoch begins, and of its steps the losses alone come back, while later ones run.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor, Var};

use super::epoch::{Found, Tally};
use super::steps::Steps;
use super::{Every, Trainer};
use crate::data::DataLoader;
use crate::error::invalid;
use crate::loss::Reduction;
use crate::nn::{Network, captured};
use crate::ops::captured::{Layer, Plan, SIZES, Settings};
use crate::ops::cuda::captured::Captured;
use crate::ops::cuda::multiprocessors;
use crate::ops::cuda::pass::Given;
use crate::ops::update::Buffers;
use crate::train::resident::Resident;
use crate::train::{History, Precision, Progress};
use crate::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Train,
    Evaluate,
}

/// Where a step's images are.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Resident(&'a Resident),
    /// In the loader's batches, of images of this shape.
    Batches([usize; 3]),
}

impl Source<'_> {
    fn shape(&self) -> [usize; 3] {
        match self {
            Self::Resident(resident) => resident.shape(),
            Self::Batches(shape) => *shape,
        }
    }
}

/// A step before it is captured.
struct Planned {
    plan: Plan,
    classes: usize,
    parameters: Vec<Var>,
    share: (usize, usize),
}

/// The steps of one loader.
pub(super) struct OnCard {
    pub(super) captured: Captured,
    /// Channels, rows and columns of an image.
    pub(super) shape: [usize; 3],
    classes: usize,
    /// The layers', in their order.
    parameters: Vec<Var>,
    /// Of a loader's images, which are this rank's: every so many from the first on.
    share: (usize, usize),
}

impl OnCard {
    /// None where a card does not take the step; an error where the precision needs one that does.
    pub(super) fn new(
        trainer: &Trainer,
        train: &DataLoader,
        source: Option<Source<'_>>,
    ) -> Result<Option<Self>> {
        let captured = Self::capture(trainer, train, source, Purpose::Train)?;
        match (captured, trainer.precision) {
            (Ok(captured), _) => Ok(Some(captured)),
            (Err(_), Precision::Highest) => Ok(None),
            (Err(reason), precision) => {
                let problem = format!(
                    "needs a step that the card captures, and {reason}; see Trainer, or leave the precision at highest"
                );
                invalid("Trainer", "float32_matmul_precision", precision, problem)
            }
        }
    }

    /// For evaluations alone, where a card takes them.
    pub(super) fn for_test(
        trainer: &Trainer,
        test: Option<&DataLoader>,
        resident: Option<&Resident>,
    ) -> Result<Option<Self>> {
        match test {
            Some(test) => {
                let source = resident.map(Source::Resident);
                Ok(Self::capture(trainer, test, source, Purpose::Evaluate)?.ok())
            }
            None => Ok(None),
        }
    }

    /// Or why not.
    fn capture(
        trainer: &Trainer,
        loader: &DataLoader,
        source: Option<Source<'_>>,
        purpose: Purpose,
    ) -> Result<std::result::Result<Self, &'static str>> {
        let planned = Self::planned(trainer, loader, source, purpose)?;
        let group = trainer.group();
        if let (Purpose::Train, Some(group)) = (purpose, group) {
            // All ranks or none, for each waits for the others' means.
            let ready = group.sum(vec![f64::from(u8::from(planned.is_ok()))])?;
            if planned.is_ok() && ready[0].round() as usize != group.world_size() {
                return Ok(Err("the card of another rank does not take it"));
            }
        }
        let Planned {
            plan,
            classes,
            parameters,
            share,
        } = match planned {
            Ok(planned) => planned,
            Err(reason) => return Ok(Err(reason)),
        };
        let (Some(source), Device::Cuda(device)) = (source, &trainer.device) else {
            unreachable!("it was planned for a card and its images")
        };
        let average = |address, n, after| match group {
            Some(group) => Ok(group
                .mean_at(address, n, after)
                .map_err(candle_core::Error::wrap)?),
            None => candle_core::bail!("there is no process group"),
        };
        let images = match source {
            Source::Resident(resident) => Some(resident.bytes()),
            Source::Batches(_) => None,
        };
        Ok(Ok(Self {
            captured: Captured::new(device, plan, images, &parameters, &average)?,
            shape: source.shape(),
            classes,
            parameters,
            share,
        }))
    }

    /// All but the capture itself.
    fn planned(
        trainer: &Trainer,
        loader: &DataLoader,
        source: Option<Source<'_>>,
        purpose: Purpose,
    ) -> Result<std::result::Result<Planned, &'static str>> {
        let Device::Cuda(device) = &trainer.device else {
            return Ok(Err("the net is not on a CUDA card"));
        };
        let Some(source) = source else {
            return Ok(Err("the batches are not of f32 images on the CPU"));
        };
        let Some((layers, parameters)) =
            layers(trainer.net.as_ref(), source.shape(), &trainer.device)
        else {
            return Ok(Err("the net is not of layers that it takes"));
        };
        let context = device.cuda_stream().context().clone();
        let group = trainer.group();
        // Of a test set each rank takes its share; a train loader's sampler has given it one.
        let share = match (purpose, group) {
            (Purpose::Evaluate, Some(group)) => (group.rank(), group.world_size()),
            _ => (0, 1),
        };
        let total = (share.0..loader.images()).step_by(share.1).len();
        if total == 0 {
            return Ok(Err("there is no image for it"));
        }
        let mut settings = Settings {
            batch: loader.batch_size().min(total),
            image: source.shape(),
            pixels: match source {
                Source::Resident(resident) => Some(resident.pixels().to_vec()),
                Source::Batches(_) => None,
            },
            total,
            class_weights: None,
            // Of an evaluation every image counts.
            ignore_index: i64::MIN,
            label_smoothing: 0.0,
            optimizer: None,
            real: 4,
            precision: Precision::Highest,
            tiles: &SIZES,
            multiprocessors: multiprocessors(device)?,
            averages: false,
        };
        let classes = layers.last().map_or(0, |layer| layer.out_channels);
        if purpose == Purpose::Train {
            let rule = trainer.criterion.rule();
            let weights = rule.weight.as_ref();
            let f32s = trainer.criterion.weight_dtype();
            let fits = weights.is_none_or(|weight| weight.len() == classes)
                && f32s.is_none_or(|dtype| dtype == DType::F32);
            if !fits || rule.reduction != Reduction::Mean {
                return Ok(Err("the criterion gives no mean of f32 losses"));
            }
            let Some((rule_name, optimized)) = trainer.optimizer.fuses() else {
                return Ok(Err("the optimizer has no kernel"));
            };
            if !same(&optimized, &parameters) {
                return Ok(Err("the optimizer's parameters are not just the net's"));
            }
            let version = context
                .compute_capability()
                .map_err(candle_core::Error::wrap)?;
            if trainer.precision != Precision::Highest && version < (8, 0) {
                return Ok(Err("the card has no tensor cores of version 8.0"));
            }
            settings = Settings {
                class_weights: rule.weight.clone(),
                ignore_index: rule.ignore_index,
                label_smoothing: rule.smoothing,
                optimizer: Some(rule_name),
                precision: trainer.precision,
                averages: group.is_some(),
                ..settings
            };
        }
        let Some(plan) = Plan::new(&layers, settings) else {
            return Ok(Err("the net is not of layers that it takes"));
        };
        let (free, _) = context.mem_get_info().map_err(candle_core::Error::wrap)?;
        if plan.bytes > free / 2 {
            return Ok(Err("its memory does not suffice"));
        }
        Ok(Ok(Planned {
            plan,
            classes,
            parameters,
            share,
        }))
    }

    /// The images and classes of this rank's share, in the loader's order.
    fn order(&self, loader: &DataLoader, ignore_index: i64) -> Result<(Vec<u32>, Vec<i64>)> {
        let mut batches = loader.iter()?;
        let dataset = batches.dataset();
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        while let Some(indices) = batches.next_indices() {
            for (position, &index) in indices.iter().enumerate() {
                let (row, target) = dataset.raw_index(index)?;
                self.check(target, position, ignore_index)?;
                rows.push(row as u32);
                targets.push(target);
            }
        }
        let (rank, ranks) = self.share;
        let rows = rows.into_iter().skip(rank).step_by(ranks).collect();
        let targets = targets.into_iter().skip(rank).step_by(ranks).collect();
        Ok((rows, targets))
    }

    /// Refuses a target that is no class.
    pub(super) fn check(&self, target: i64, position: usize, ignore_index: i64) -> Result<()> {
        let is_class = usize::try_from(target).is_ok_and(|target| target < self.classes);
        match is_class || target == ignore_index {
            true => Ok(()),
            false => Err(Error::TargetOutOfRange {
                target,
                position,
                classes: self.classes,
            }),
        }
    }

    /// Loss and accuracy of this rank's share of a loader's images.
    pub(super) fn evaluate(&mut self, loader: &DataLoader) -> Result<Found> {
        let (order, targets) = self.order(loader, i64::MIN)?;
        let divisors = vec![1.0; order.len().div_ceil(self.captured.plan().batch)];
        let given = Given {
            order: &order,
            targets: &targets,
            divisors: &divisors,
            steps: &[],
            parameters: &[],
        };
        let (n, mut losses, mut right) = (order.len(), 0.0, 0);
        self.captured.epoch(&given, |_, steps| {
            for found in steps {
                losses += found.losses;
                right += found.right;
            }
            Ok::<_, Error>(())
        })?;
        let loss = losses / n as f64;
        Ok(Found { loss, right, n })
    }

    /// The parameters, and what the optimizer remembers of each, in the layers' order.
    pub(super) fn ordered(&self, mut all: Vec<(Var, Buffers)>) -> Vec<(Var, Buffers)> {
        let place = |var: &Var| self.parameters.iter().position(|own| own.id() == var.id());
        all.sort_by_key(|(var, _)| place(var));
        all
    }
}

/// The net's layers and their parameters, in their order, where the kernels take them.
fn layers(net: &dyn Network, image: [usize; 3], device: &Device) -> Option<(Vec<Layer>, Vec<Var>)> {
    let own = net.layers()?;
    let layers = captured(&own, image)?;
    // Not the net's, which may come in another order.
    let named = own.iter().flat_map(crate::nn::Layer::named_parameters);
    let parameters: Vec<Var> = named.map(|(_, var)| var).collect();
    let fits = |var: &Var| {
        var.dtype() == DType::F32 && var.is_contiguous() && var.device().same_device(device)
    };
    let fit = parameters.iter().all(fits) && same(&parameters, &net.parameters());
    fit.then_some((layers, parameters))
}

/// Whether both are the same variables, each once.
fn same(some: &[Var], others: &[Var]) -> bool {
    let ids = |vars: &[Var]| {
        vars.iter()
            .map(|var| Tensor::id(var))
            .collect::<HashSet<_>>()
    };
    let (own, of_others) = (ids(some), ids(others));
    own == of_others && own.len() == some.len() && own.len() == others.len()
}

impl Trainer {
    /// An epoch on the card.
    pub(super) fn epoch_on_card(
        &mut self,
        on_card: &mut OnCard,
        train: &DataLoader,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<Tally> {
        let mut tally = Tally::new();
        let (order, targets) = on_card.order(train, self.criterion.rule().ignore_index)?;
        let batch = on_card.captured.plan().batch;
        let divisors = targets.chunks(batch).map(|targets| self.divisor(targets));
        let divisors: Vec<f64> = divisors.collect();
        let mut steps = Vec::with_capacity(divisors.len());
        let mut parameters = Vec::new();
        for _ in 0..divisors.len() {
            let fused = self.optimizer.fused()?;
            steps.push(fused.numbers);
            parameters = fused.parameters;
            self.go_on(Every::Step)?;
        }
        let parameters = on_card.ordered(parameters);
        let given = Given {
            order: &order,
            targets: &targets,
            steps: &steps,
            divisors: &divisors,
            parameters: &parameters,
        };
        let of = Steps {
            batch,
            images: order.len(),
            divisors: &divisors,
        };
        on_card.captured.epoch(&given, |first, steps| {
            self.record_steps(first, steps, of, &mut tally, progress, history)
        })?;
        Ok(tally)
    }
}
