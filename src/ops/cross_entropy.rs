//! The cross-entropy as one operation of candle: log-softmax, choice of the class and reduction in
//! one pass, and the gradient softmax − truth in another.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};

use super::buffer::{Element, elements, for_float, output, with_elements, zeros};
use crate::loss::Reduction;

const NAME: &str = "cross_entropy";

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) weight: Option<Vec<f64>>,
    pub(crate) ignore_index: i64,
    pub(crate) reduction: Reduction,
    pub(crate) smoothing: f64,
}

/// Checked by the loss: of the right number and, but for the ignored index, in range.
pub(crate) enum Targets {
    Indices(Vec<i64>),
    Probabilities(Vec<f64>),
}

pub(crate) fn cross_entropy(logits: &Tensor, targets: Targets, rule: Rule) -> Result<Tensor> {
    let cpu = logits.to_device(&Device::Cpu)?.contiguous()?;
    let loss = cpu.apply_op1(CrossEntropyOp { targets, rule })?;
    loss.to_device(logits.device())
}

struct CrossEntropyOp {
    targets: Targets,
    rule: Rule,
}

/// Where the logits of one target lie: class c of target i is at `start(i) + c·inner`.
struct Places {
    classes: usize,
    inner: usize,
    targets: usize,
}

impl Places {
    fn new(dims: &[usize]) -> Self {
        let (classes, inner) = match dims {
            [classes] => (*classes, 1),
            [_, classes, rest @ ..] => (*classes, rest.iter().product()),
            [] => (1, 1),
        };
        let total: usize = dims.iter().product();
        Self {
            classes,
            inner,
            targets: total / classes.max(1),
        }
    }

    fn of(&self, target: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let start = target / self.inner * self.classes * self.inner + target % self.inner;
        let inner = self.inner;
        (0..self.classes).map(move |class| start + class * inner)
    }
}

impl CrossEntropyOp {
    /// How much −log softmax of each class counts in the loss of one target.
    fn shares(&self, places: &Places, target: usize, shares: &mut [f64]) {
        let smoothing = self.rule.smoothing;
        let spread = smoothing / places.classes as f64;
        let weight = |class: usize| {
            self.rule
                .weight
                .as_ref()
                .map_or(1.0, |weight| weight[class])
        };
        match &self.targets {
            Targets::Indices(indices) => {
                let index = indices[target];
                if index == self.rule.ignore_index {
                    shares.fill(0.0);
                    return;
                }
                for (class, share) in shares.iter_mut().enumerate() {
                    *share = spread * weight(class);
                }
                shares[index as usize] += (1.0 - smoothing) * weight(index as usize);
            }
            Targets::Probabilities(all) => {
                for ((class, share), at) in shares.iter_mut().enumerate().zip(places.of(target)) {
                    *share = weight(class) * (all[at] * (1.0 - smoothing) + spread);
                }
            }
        }
    }

    /// What the mean divides the sum by.
    fn divisor(&self, places: &Places) -> f64 {
        match (&self.targets, self.rule.reduction) {
            (_, Reduction::Sum | Reduction::None) => 1.0,
            (Targets::Probabilities(_), Reduction::Mean) => places.targets as f64,
            (Targets::Indices(indices), Reduction::Mean) => indices
                .iter()
                .filter(|&&index| index != self.rule.ignore_index)
                .map(|&index| {
                    let weight = self.rule.weight.as_ref();
                    weight.map_or(1.0, |weight| weight[index as usize])
                })
                .sum(),
        }
    }

    fn forward<T: Element>(&self, logits: &[T], places: &Places) -> Result<Vec<T>> {
        let mut shares = vec![0.0; places.classes];
        let mut losses = Vec::with_capacity(places.targets);
        for target in 0..places.targets {
            self.shares(places, target, &mut shares);
            let row = places.of(target).map(|at| logits[at].to_f64());
            let log_sum = log_sum_exp(row.clone());
            let terms = row.zip(&shares).filter(|(_, share)| **share != 0.0);
            losses.push(terms.map(|(x, share)| share * (log_sum - x)).sum::<f64>());
        }
        Ok(match self.rule.reduction {
            Reduction::None => losses.into_iter().map(T::from_f64).collect(),
            Reduction::Sum | Reduction::Mean => {
                let sum: f64 = losses.into_iter().sum();
                vec![T::from_f64(sum / self.divisor(places))]
            }
        })
    }

    fn backward<T: Element>(&self, logits: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let places = Places::new(logits.dims());
        let scale = 1.0 / self.divisor(&places);
        let mut values = zeros::<T>(logits.elem_count())?;
        let mut shares = vec![0.0; places.classes];
        with_elements::<T, _>(grad, |grad| {
            with_elements::<T, _>(logits, |logits| {
                for target in 0..places.targets {
                    self.shares(&places, target, &mut shares);
                    if shares.iter().all(|share| *share == 0.0) {
                        continue;
                    }
                    let grad = match self.rule.reduction {
                        Reduction::None => grad[target].to_f64(),
                        Reduction::Sum | Reduction::Mean => grad[0].to_f64() * scale,
                    };
                    let total: f64 = shares.iter().sum();
                    let row = places.of(target).map(|at| logits[at].to_f64());
                    let log_sum = log_sum_exp(row.clone());
                    for ((x, at), share) in row.zip(places.of(target)).zip(&shares) {
                        let softmax = (x - log_sum).exp();
                        values[at] = T::from_f64(grad * (total * softmax - share));
                    }
                }
                Ok(())
            })
        })?;
        Tensor::from_vec(values, logits.shape(), logits.device())
    }

    fn shape(&self, dims: &[usize]) -> Shape {
        match (self.rule.reduction, dims) {
            (Reduction::None, [n, _, rest @ ..]) => {
                let shape: Vec<usize> = std::iter::once(n).chain(rest).copied().collect();
                shape.into()
            }
            _ => ().into(),
        }
    }
}

/// log Σ exp, with the largest taken out first, so that logits of 10⁴ neither overflow nor vanish.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return values.sum::<f64>();
    }
    largest + values.map(|x| (x - largest).exp()).sum::<f64>().ln()
}

impl CustomOp1 for CrossEntropyOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let places = Places::new(layout.dims());
        for_float!(logits, NAME, T => {
            let losses = self.forward(elements::<T>(logits, layout)?, &places)?;
            output(losses, self.shape(layout.dims()))
        })
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(match logits.dtype() {
            DType::F64 => self.backward::<f64>(logits, &grad)?,
            _ => self.backward::<f32>(logits, &grad)?,
        }))
    }
}
