//! The cross-entropy as one operation of candle: log-softmax, choice of the class and reduction in
//! one pass, and the gradient softmax − truth in another.
//!
//! The log-softmax and the gradient are rounded where PyTorch rounds them: where a class is all but
//! certain, loss and gradient are little more than that rounding.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Device, Layout, Result, Shape, Tensor};

use super::buffer::{Element, elements, for_float, output, with_elements, zeros};
use super::cascade::sum_of_losses;
#[cfg(feature = "cuda")]
use super::cuda;
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
    /// Of the logits' shape and type.
    Probabilities(Tensor),
}

/// `logits` of f32 or f64.
pub(crate) fn cross_entropy(logits: &Tensor, targets: Targets, rule: Rule) -> Result<Tensor> {
    // Where it is computed.
    let device = match logits.device().is_metal() {
        true => &Device::Cpu,
        false => logits.device(),
    };
    let here = logits.to_device(device)?.contiguous()?;
    let loss = match targets {
        Targets::Indices(indices) => here.apply_op1(OfIndices { indices, rule })?,
        Targets::Probabilities(targets) => {
            let targets = targets.to_device(device)?.contiguous()?;
            here.apply_op2(&targets, OfProbabilities { rule })?
        }
    };
    loss.to_device(logits.device())
}

struct OfIndices {
    indices: Vec<i64>,
    rule: Rule,
}

struct OfProbabilities {
    rule: Rule,
}

/// What the classes really are.
#[derive(Clone, Copy)]
enum Truth<'a, T> {
    Indices(&'a [i64]),
    Probabilities(&'a [T]),
}

/// Where the logits of one target lie: class c of target i is at `start(i) + c·inner`.
pub(super) struct Places {
    pub(super) classes: usize,
    pub(super) inner: usize,
    pub(super) targets: usize,
}

impl Places {
    pub(super) fn new(dims: &[usize]) -> Self {
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

impl Rule {
    fn weight(&self, class: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |weight| weight[class])
    }

    /// How much −log softmax of each class counts in the loss of one target; `false` where the target
    /// is ignored.
    fn shares<T: Element>(
        &self,
        truth: Truth<'_, T>,
        places: &Places,
        target: usize,
        shares: &mut [f64],
    ) -> bool {
        let spread = self.smoothing / places.classes as f64;
        match truth {
            Truth::Indices(indices) => {
                let index = indices[target];
                if index == self.ignore_index {
                    return false;
                }
                for (class, share) in shares.iter_mut().enumerate() {
                    *share = spread * self.weight(class);
                }
                shares[index as usize] += (1.0 - self.smoothing) * self.weight(index as usize);
            }
            Truth::Probabilities(all) => {
                for ((class, share), at) in shares.iter_mut().enumerate().zip(places.of(target)) {
                    let truth = all[at].to_f64() * (1.0 - self.smoothing) + spread;
                    *share = self.weight(class) * truth;
                }
            }
        }
        true
    }

    /// What the mean divides the sum by.
    fn divisor<T>(&self, truth: Truth<'_, T>, places: &Places) -> f64 {
        match (truth, self.reduction) {
            (_, Reduction::Sum | Reduction::None) => 1.0,
            (Truth::Probabilities(_), Reduction::Mean) => places.targets as f64,
            (Truth::Indices(indices), Reduction::Mean) => indices
                .iter()
                .filter(|&&index| index != self.ignore_index)
                .map(|&index| self.weight(index as usize))
                .sum(),
        }
    }

    fn forward<T: Element>(
        &self,
        logits: &[T],
        truth: Truth<'_, T>,
        places: &Places,
    ) -> Result<Vec<T>> {
        // Where one class alone counts, the others' logits may be −∞; PyTorch looks at all of them
        // otherwise, and so gives NaN for a share of 0.
        let one_counts = matches!(truth, Truth::Indices(_)) && self.smoothing == 0.0;
        let mut shares = vec![0.0; places.classes];
        let mut softmax = LogSoftmax::new(places);
        let mut losses = Vec::with_capacity(places.targets);
        for target in 0..places.targets {
            if !self.shares(truth, places, target, &mut shares) {
                losses.push(T::ZERO);
                continue;
            }
            let logs = softmax.of(places.of(target).map(|at| logits[at]));
            let terms = logs
                .iter()
                .zip(&shares)
                .filter(|(_, share)| !one_counts || **share != 0.0);
            let loss: f64 = terms.map(|(log, share)| -share * log.to_f64()).sum();
            losses.push(T::from_f64(loss));
        }
        Ok(match self.reduction {
            Reduction::None => losses,
            Reduction::Sum | Reduction::Mean => {
                let divisor = T::from_f64(self.divisor(truth, places));
                vec![sum_of_losses(&losses) / divisor]
            }
        })
    }

    /// What flows into the loss of each target.
    fn incoming<T: Element>(
        &self,
        grad: &[T],
        truth: Truth<'_, T>,
        places: &Places,
    ) -> impl Fn(usize) -> f64 {
        let scale = 1.0 / self.divisor(truth, places);
        move |target| match self.reduction {
            Reduction::None => grad[target].to_f64(),
            Reduction::Sum | Reduction::Mean => grad[0].to_f64() * scale,
        }
    }

    fn logits_gradient<T: Element>(
        &self,
        logits: &[T],
        truth: Truth<'_, T>,
        grad: &[T],
        places: &Places,
    ) -> Result<Vec<T>> {
        let incoming = self.incoming(grad, truth, places);
        let mut values = zeros::<T>(logits.len())?;
        let mut shares = vec![0.0; places.classes];
        let mut softmax = LogSoftmax::new(places);
        for target in 0..places.targets {
            if !self.shares(truth, places, target, &mut shares) {
                continue;
            }
            // What flows into each class's −log softmax; then through the softmax.
            let incoming = incoming(target);
            let flow = |share: &f64| T::from_f64(share * incoming);
            let total = shares
                .iter()
                .map(flow)
                .fold(T::ZERO, |sum, flow| sum + flow);
            softmax.of(places.of(target).map(|at| logits[at]));
            for ((exp, at), share) in softmax.exps().iter().zip(places.of(target)).zip(&shares) {
                // Rounded once, as PyTorch does: near a certain class the two all but cancel.
                values[at] = exp.mul_add(total, -flow(share));
            }
        }
        Ok(values)
    }

    /// −log softmax, as much as each class counts.
    fn targets_gradient<T: Element>(
        &self,
        logits: &[T],
        truth: Truth<'_, T>,
        grad: &[T],
        places: &Places,
    ) -> Result<Vec<T>> {
        let incoming = self.incoming(grad, truth, places);
        let mut values = zeros::<T>(logits.len())?;
        let mut softmax = LogSoftmax::new(places);
        for target in 0..places.targets {
            let scale = incoming(target) * (1.0 - self.smoothing);
            let logs = softmax.of(places.of(target).map(|at| logits[at]));
            for (class, (log, at)) in logs.iter().zip(places.of(target)).enumerate() {
                values[at] = T::from_f64(-scale * self.weight(class) * log.to_f64());
            }
        }
        Ok(values)
    }

    fn shape(&self, dims: &[usize]) -> Shape {
        match (self.reduction, dims) {
            (Reduction::None, [n, _, rest @ ..]) => {
                let shape: Vec<usize> = std::iter::once(n).chain(rest).copied().collect();
                shape.into()
            }
            _ => ().into(),
        }
    }
}

/// x − log Σ exp x, with the largest taken out first, so that logits of 10⁴ neither overflow nor
/// vanish. Where the largest is ∞, or all are −∞, it is ∞ − ∞: NaN, as in PyTorch.
struct LogSoftmax<T> {
    logs: Vec<T>,
    exps: Vec<T>,
}

impl<T: Element> LogSoftmax<T> {
    /// With room for the classes.
    fn new(places: &Places) -> Self {
        Self {
            logs: Vec::with_capacity(places.classes),
            exps: Vec::with_capacity(places.classes),
        }
    }

    /// Of one target's logits.
    fn of(&mut self, logits: impl Iterator<Item = T> + Clone) -> &[T] {
        let larger = |a, b| if b > a { b } else { a };
        let largest = logits.clone().fold(T::NEG_INFINITY, larger);
        self.logs.clear();
        self.logs.extend(logits.map(|x| x - largest));
        let sum = self.exps().iter().fold(T::ZERO, |sum, &exp| sum + exp);
        let log_sum = sum.ln();
        self.logs.iter_mut().for_each(|log| *log -= log_sum);
        &self.logs
    }

    /// exp of each of what `logs` holds.
    fn exps(&mut self) -> &[T] {
        self.exps.clone_from(&self.logs);
        T::exp_all(&mut self.exps);
        &self.exps
    }
}

impl OfIndices {
    fn gradient<T: Element>(&self, logits: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let places = Places::new(logits.dims());
        let truth = Truth::Indices(&self.indices);
        let values = with_elements::<T, _>(grad, |grad| {
            with_elements::<T, _>(logits, |logits| {
                self.rule.logits_gradient(logits, truth, grad, &places)
            })
        })?;
        Tensor::from_vec(values, logits.shape(), logits.device())
    }
}

impl CustomOp1 for OfIndices {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let places = Places::new(layout.dims());
        for_float!(logits, NAME, T => {
            let logits = elements::<T>(logits, layout)?;
            let losses = self.rule.forward(logits, Truth::Indices(&self.indices), &places)?;
            output(losses, self.rule.shape(layout.dims()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, logits: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let truth = cuda::cross_entropy::Truth::Indices(&self.indices);
        let shape = self.rule.shape(layout.dims());
        cuda::cross_entropy::forward(&self.rule, (logits, layout), truth, shape)
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            let (rule, indices) = (&self.rule, &self.indices);
            return cuda::cross_entropy::of_indices(rule, logits, indices, &grad).map(Some);
        }
        Ok(Some(match logits.dtype() {
            DType::F64 => self.gradient::<f64>(logits, &grad)?,
            _ => self.gradient::<f32>(logits, &grad)?,
        }))
    }
}

impl OfProbabilities {
    /// The gradients of logits and targets, each where it is asked for.
    fn gradients<T: Element>(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let places = Places::new(logits.dims());
        let (rule, of_targets) = (&self.rule, targets.track_op());
        let (grad_logits, grad_targets) = with_elements::<T, _>(grad, |grad| {
            with_elements::<T, _>(targets, |targets| {
                let truth = Truth::Probabilities(targets);
                with_elements::<T, _>(logits, |logits| {
                    let of_targets = of_targets
                        .then(|| rule.targets_gradient(logits, truth, grad, &places))
                        .transpose()?;
                    let of_logits = rule.logits_gradient(logits, truth, grad, &places)?;
                    Ok((of_logits, of_targets))
                })
            })
        })?;
        let tensor = |values| Tensor::from_vec(values, logits.shape(), logits.device());
        Ok((
            Some(tensor(grad_logits)?),
            grad_targets.map(tensor).transpose()?,
        ))
    }
}

impl CustomOp2 for OfProbabilities {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let places = Places::new(layout.dims());
        for_float!(logits, NAME, T => {
            let truth = Truth::Probabilities(elements::<T>(targets, targets_layout)?);
            let losses = self.rule.forward(elements::<T>(logits, layout)?, truth, &places)?;
            output(losses, self.rule.shape(layout.dims()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        logits: &CudaStorage,
        layout: &Layout,
        targets: &CudaStorage,
        targets_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let truth = cuda::cross_entropy::Truth::Probabilities((targets, targets_layout));
        let shape = self.rule.shape(layout.dims());
        cuda::cross_entropy::forward(&self.rule, (logits, layout), truth, shape)
    }

    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return cuda::cross_entropy::of_probabilities(&self.rule, logits, targets, &grad);
        }
        match logits.dtype() {
            DType::F64 => self.gradients::<f64>(logits, targets, &grad),
            _ => self.gradients::<f32>(logits, targets, &grad),
        }
    }
}
