//! The cross-entropy's kernels. Only class indices and weights come from the CPU.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaView, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::{CudaStorage, Result, Shape, Tensor};

use super::launch::{Real, Source, each, for_real, or_nowhere, room, sums, view, wrap};
use super::op::{Given, Op};
use crate::loss::Reduction;
use crate::ops::cross_entropy::{Places, Rule};

const SOURCE: Source = Source {
    name: "cross_entropy",
    text: concat!(
        include_str!("kernels/common.cuh"),
        include_str!("kernels/cross_entropy.cuh"),
        include_str!("kernels/cross_entropy.cu")
    ),
};

/// As `struct CrossEntropy` in the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Sizes {
    classes: i64,
    targets: i64,
    inner: i64,
    ignore_index: i64,
    smoothing: f64,
    reduction: i64,
    has_weight: i64,
    has_indices: i64,
}

// SAFETY: eight numbers of 8 bytes, no padding, no pointer.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sizes {}

/// What the classes really are: indices from the CPU, or probabilities.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Truth<'a> {
    Indices(&'a [i64]),
    Probabilities(Given<'a>),
}

/// What every kernel of one loss is called with.
struct Loss {
    sizes: Sizes,
    indices: Option<CudaSlice<i64>>,
    weight: Option<CudaSlice<f64>>,
    divisor: CudaSlice<f64>,
    device: CudaDevice,
}

impl Loss {
    fn new<T: Real>(
        rule: &Rule,
        dims: &[usize],
        truth: Option<&[i64]>,
        device: &CudaDevice,
    ) -> Result<Self> {
        let places = Places::new(dims);
        let sizes = Sizes {
            classes: places.classes as i64,
            targets: places.targets as i64,
            inner: places.inner as i64,
            ignore_index: rule.ignore_index,
            smoothing: rule.smoothing,
            reduction: match rule.reduction {
                Reduction::None => 0,
                Reduction::Mean => 1,
                Reduction::Sum => 2,
            },
            has_weight: i64::from(rule.weight.is_some()),
            has_indices: i64::from(truth.is_some()),
        };
        // Of no target there are no indices to copy.
        let indices = truth.filter(|indices| !indices.is_empty());
        let weight = rule.weight.as_ref();
        let mut loss = Self {
            sizes,
            indices: indices
                .map(|indices| device.clone_htod(indices))
                .transpose()?,
            weight: weight.map(|weight| device.clone_htod(weight)).transpose()?,
            divisor: room::<f64>(device, 1)?,
            device: device.clone(),
        };
        loss.divide::<T>()?;
        Ok(loss)
    }

    fn divide<T: Real>(&mut self) -> Result<()> {
        let kernel = SOURCE.kernel::<T>(&self.device, "cross_entropy_divisor")?;
        let mut call = kernel.call();
        call.arg(&mut self.divisor);
        or_nowhere!(call, &self.indices);
        or_nowhere!(call, &self.weight);
        call.arg(&self.sizes);
        // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
        #[allow(unsafe_code)]
        unsafe { call.launch(sums(1)) }.map_err(candle_core::Error::wrap)?;
        Ok(())
    }

    fn targets(&self) -> LaunchConfig {
        each(self.sizes.targets as usize)
    }
}

fn split(truth: Truth<'_>) -> (Option<&[i64]>, Option<Given<'_>>) {
    match truth {
        Truth::Indices(indices) => (Some(indices), None),
        Truth::Probabilities(given) => (None, Some(given)),
    }
}

fn views<'a, T: Real>(given: Option<Given<'a>>) -> Result<Option<CudaView<'a, T>>> {
    given
        .map(|(storage, layout)| view::<T>(storage, layout))
        .transpose()
}

/// The loss, in `shape`.
pub(in crate::ops) fn forward(
    rule: &Rule,
    (logits, layout): Given<'_>,
    truth: Truth<'_>,
    shape: Shape,
) -> Result<(CudaStorage, Shape)> {
    let (indices, probabilities) = split(truth);
    for_real!(logits, T => {
        let device = logits.device();
        let loss = Loss::new::<T>(rule, layout.dims(), indices, device)?;
        let (logits, truth) = (view::<T>(logits, layout)?, views::<T>(probabilities)?);
        let n = loss.sizes.targets as usize;
        let mut losses = room::<T>(device, n)?;
        if n > 0 {
            let kernel = SOURCE.kernel::<T>(device, "cross_entropy_losses")?;
            let mut call = kernel.call();
            call.arg(&mut losses).arg(&logits);
            or_nowhere!(call, &loss.indices);
            or_nowhere!(call, &truth);
            or_nowhere!(call, &loss.weight);
            call.arg(&loss.sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(loss.targets()) }.map_err(candle_core::Error::wrap)?;
        }
        if matches!(rule.reduction, Reduction::None) {
            return Ok((wrap(losses, device), shape));
        }
        let mut sum = room::<T>(device, 1)?;
        let kernel = SOURCE.kernel::<T>(device, "cross_entropy_reduce")?;
        let mut call = kernel.call();
        call.arg(&mut sum).arg(&losses).arg(&loss.divisor).arg(&loss.sizes);
        // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
        #[allow(unsafe_code)]
        unsafe { call.launch(sums(1)) }.map_err(candle_core::Error::wrap)?;
        Ok((wrap(sum, device), shape))
    })
}

/// The gradient of the logits where the truth is an index.
pub(in crate::ops) fn of_indices(
    rule: &Rule,
    logits: &Tensor,
    indices: &[i64],
    grad: &Tensor,
) -> Result<Tensor> {
    let op = Op(OF_LOGITS, |logits: Given<'_>, grad: Given<'_>| {
        of_logits(rule, logits, grad, Truth::Indices(indices))
    });
    logits.apply_op2_no_bwd(grad, &op)
}

/// The gradients of logits and probabilities, the latter where it is asked for.
pub(in crate::ops) fn of_probabilities(
    rule: &Rule,
    logits: &Tensor,
    targets: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let op = Op(
        OF_LOGITS,
        |logits: Given<'_>, grad: Given<'_>, truth: Given<'_>| {
            of_logits(rule, logits, grad, Truth::Probabilities(truth))
        },
    );
    let of_logits = logits.apply_op3_no_bwd(grad, targets, &op)?;
    let op = Op(
        "cross_entropy's gradient of the targets",
        |logits: Given<'_>, grad: Given<'_>| of_targets(rule, logits, grad),
    );
    let of_targets = match targets.track_op() {
        true => Some(logits.apply_op2_no_bwd(grad, &op)?),
        false => None,
    };
    Ok((Some(of_logits), of_targets))
}

const OF_LOGITS: &str = "cross_entropy's gradient";

fn of_logits(
    rule: &Rule,
    (logits, layout): Given<'_>,
    (grad, grad_layout): Given<'_>,
    truth: Truth<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (indices, truth) = split(truth);
    for_real!(logits, T => {
        let device = logits.device();
        let loss = Loss::new::<T>(rule, layout.dims(), indices, device)?;
        let mut to = room::<T>(device, layout.shape().elem_count())?;
        let (logits, truth) = (view::<T>(logits, layout)?, views::<T>(truth)?);
        let grad = view::<T>(grad, grad_layout)?;
        if loss.sizes.targets > 0 {
            let kernel = SOURCE.kernel::<T>(device, "cross_entropy_logits_gradient")?;
            let mut call = kernel.call();
            call.arg(&mut to).arg(&logits);
            or_nowhere!(call, &loss.indices);
            or_nowhere!(call, &truth);
            or_nowhere!(call, &loss.weight);
            call.arg(&grad).arg(&loss.divisor).arg(&loss.sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(loss.targets()) }.map_err(candle_core::Error::wrap)?;
        }
        Ok((wrap(to, device), layout.shape().clone()))
    })
}

fn of_targets(
    rule: &Rule,
    (logits, layout): Given<'_>,
    (grad, grad_layout): Given<'_>,
) -> Result<(CudaStorage, Shape)> {
    for_real!(logits, T => {
        let device = logits.device();
        let loss = Loss::new::<T>(rule, layout.dims(), None, device)?;
        let mut to = room::<T>(device, layout.shape().elem_count())?;
        let logits = view::<T>(logits, layout)?;
        let grad = view::<T>(grad, grad_layout)?;
        if loss.sizes.targets > 0 {
            let kernel = SOURCE.kernel::<T>(device, "cross_entropy_targets_gradient")?;
            let mut call = kernel.call();
            call.arg(&mut to).arg(&logits);
            or_nowhere!(call, &loss.weight);
            call.arg(&grad).arg(&loss.divisor).arg(&loss.sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(loss.targets()) }.map_err(candle_core::Error::wrap)?;
        }
        Ok((wrap(to, device), layout.shape().clone()))
    })
}
