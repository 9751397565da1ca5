//! The cross-entropy between logits and classes.

use candle_core::{DType, Device, Tensor};

use super::Reduction;
use crate::error::invalid;
use crate::nn::working_dtype;
use crate::ops::cross_entropy::{Rule, Targets, cross_entropy};
use crate::{Error, Result};

const LAYER: &str = "CrossEntropyLoss";

/// The cross-entropy between logits and the true classes. Equivalent of
/// `torch.nn.CrossEntropyLoss`.
///
/// For logits x and the class y: `−log softmax(x)[y] = log Σ_c exp(x_c) − x_y`. The softmax is
/// inside: give it logits, not probabilities.
///
/// In full, with class weights w and label smoothing ε over C classes:
/// `(1 − ε)·w_y·(−log softmax(x)[y]) + ε/C·Σ_c w_c·(−log softmax(x)[c])`; the mean divides the sum
/// of these by the sum of w_y. Where the targets are probabilities t, it is
/// `Σ_c w_c·((1 − ε)·t_c + ε/C)·(−log softmax(x)[c])`, and the mean divides by the number of targets, N for logits (N, C).
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `weight` | none: all 1 | how much each class counts | one number a class, of the logits' dtype |
/// | `ignore_index` | −100 | a class index that does not count | any; negative where the targets are probabilities |
/// | `reduction` | mean | what becomes of the losses of a batch | [`Reduction`] |
/// | `label_smoothing` | 0 | the part of the truth spread over all classes | at most 1; a negative one counts as 0 |
///
/// # Shape
///
/// Logits (N, C), (C), or (N, C, d₁, …), of f32, f64, f16 or bf16; the halves are computed in f32, and
/// the loss is rounded. Targets: class indices, i64, u32 or u8, of the logits' shape without C; or
/// probabilities of the logits' shape, which get a gradient as the logits do. The loss is one number,
/// or with [`Reduction::None`] one for each target, of the logits' dtype.
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`], [`Error::WrongShape`]. In
/// [`forward`](Self::forward): [`Error::WrongShape`],
/// [`Error::WrongDType`], [`Error::TargetOutOfRange`], and [`Error::InvalidParameter`] where
/// `ignore_index` is 0 or more and the targets are probabilities.
///
/// # Differences from PyTorch
///
/// u32 is taken for class indices too. Probabilities of another dtype than the logits' are converted
/// to the one that the loss is computed in (f32 for the halves); PyTorch converts both to the wider one. Class indices are read on the CPU, wherever they
/// lie; with Metal the logits go there, too, and the loss comes back. `size_average` and `reduce`, which PyTorch deprecates in favour of
/// `reduction`, have no counterpart.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let criterion = CrossEntropyLoss::builder().build()?;
/// // Two classes that look alike: the loss is log 2, whatever the truth.
/// let logits = Tensor::new(&[[0f32, 0.0], [1e4, 1e4]], &Device::Cpu)?;
/// let targets = Tensor::new(&[0i64, 1], &Device::Cpu)?;
/// let loss = criterion.forward(&logits, &targets)?.to_scalar::<f32>()?;
/// assert!((loss - 2f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CrossEntropyLoss {
    rule: Rule,
    /// The weight's type, where there is a weight.
    weight_dtype: Option<DType>,
}

/// The parameters of a [`CrossEntropyLoss`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = CrossEntropyLoss::builder().label_smoothing(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "CrossEntropyLoss: label_smoothing=1.5 must be at most 1");
/// ```
#[derive(Debug, Clone, Default)]
pub struct CrossEntropyLossBuilder {
    weight: Option<Tensor>,
    ignore_index: Option<i64>,
    reduction: Reduction,
    label_smoothing: f64,
}

impl CrossEntropyLossBuilder {
    /// How much each class counts: (C); all alike unless set.
    pub fn weight(mut self, weight: Tensor) -> Self {
        self.weight = Some(weight);
        self
    }

    /// A class index that does not count; −100 unless set.
    pub fn ignore_index(mut self, ignore_index: i64) -> Self {
        self.ignore_index = Some(ignore_index);
        self
    }

    /// What becomes of the losses of a batch; their mean unless set.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The part of the truth that is spread over all classes; 0 unless set, and where it is negative.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where a parameter is outside its range, [`Error::WrongShape`]
    /// where `weight` does not have exactly one axis.
    pub fn build(self) -> Result<CrossEntropyLoss> {
        let smoothing = self.label_smoothing;
        if smoothing > 1.0 {
            return invalid(LAYER, "label_smoothing", smoothing, "must be at most 1");
        }
        Ok(CrossEntropyLoss {
            weight_dtype: self.weight.as_ref().map(Tensor::dtype),
            rule: Rule {
                weight: self.weight.as_ref().map(class_weights).transpose()?,
                ignore_index: self.ignore_index.unwrap_or(-100),
                reduction: self.reduction,
                // PyTorch asks whether it is above 0; what is not, a NaN among it, is none.
                smoothing: if smoothing > 0.0 { smoothing } else { 0.0 },
            },
        })
    }
}

fn class_weights(weight: &Tensor) -> Result<Vec<f64>> {
    if weight.rank() != 1 {
        return Err(Error::WrongShape {
            layer: LAYER,
            what: "weight",
            got: weight.dims().to_vec(),
            expected: "(C)".to_string(),
            cure: "give one number for each class".to_string(),
        });
    }
    let weight = weight
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    Ok(weight)
}

impl CrossEntropyLoss {
    /// The parameters of the loss, all with their defaults.
    pub fn builder() -> CrossEntropyLossBuilder {
        CrossEntropyLossBuilder::default()
    }

    /// The type that logits must have, where it matters.
    #[cfg(feature = "cuda")]
    pub(crate) fn weight_dtype(&self) -> Option<DType> {
        self.weight_dtype
    }

    /// What it computes.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The loss of `logits` (N, C) for `targets` (N); see above for other shapes.
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] where the shapes do not go together, [`Error::WrongDType`] where the
    /// logits are no floats, `weight` has another type than they, or the targets have a type that is
    /// not taken, [`Error::TargetOutOfRange`] for a target that is no class and not `ignore_index`,
    /// [`Error::InvalidParameter`] for an `ignore_index` of 0 or more with probabilities.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let criterion = CrossEntropyLoss::builder().build()?;
    /// let logits = Tensor::zeros((1, 10), DType::F32, &Device::Cpu)?;
    /// let targets = Tensor::new(&[13i64], &Device::Cpu)?;
    /// assert_eq!(
    ///     criterion.forward(&logits, &targets).unwrap_err().to_string(),
    ///     "CrossEntropyLoss: target 13 at position 0 is out of range for 10 classes; targets are 0 to 9"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn forward(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let wrong_dtype = |what, got, expected| Error::WrongDType {
            layer: LAYER,
            what,
            got,
            expected,
        };
        let dtype = logits.dtype();
        let Some(working) = working_dtype(dtype) else {
            return Err(wrong_dtype("logits", dtype, "f32, f64, f16 or bf16"));
        };
        if let Some(got) = self.weight_dtype
            && got != dtype
        {
            return Err(wrong_dtype("weight", got, "the logits'"));
        }
        let dims = logits.dims();
        let (classes, mut target_shape) = match *dims {
            [classes] => (classes, vec![]),
            [n, classes, ..] => {
                let inner = dims.iter().skip(2).copied();
                (classes, std::iter::once(n).chain(inner).collect())
            }
            [] => return self.wrong_logits(dims, "(N, C)".to_string()),
        };
        if classes == 0 {
            return self.wrong_logits(dims, "(N, C) with at least one class".to_string());
        }
        if let Some(weight) = &self.rule.weight
            && weight.len() != classes
        {
            let expected = format!("(N, {}), as weight has {0} classes", weight.len());
            return self.wrong_logits(dims, expected);
        }
        if targets.dtype().is_float() {
            if self.rule.ignore_index >= 0 {
                let problem = "does not go with targets that are probabilities; leave it out, or give class indices";
                return invalid(LAYER, "ignore_index", self.rule.ignore_index, problem);
            }
            target_shape = dims.to_vec();
        }
        if targets.dims() != target_shape {
            return Err(Error::WrongShape {
                layer: LAYER,
                what: "targets",
                got: targets.dims().to_vec(),
                expected: format!("{target_shape:?} for logits {dims:?}"),
                cure: "one class index for each row of logits (or, as floats, one probability for each logit)"
                    .to_string(),
            });
        }
        let targets = self.read_targets(targets, classes, working)?;
        let loss = cross_entropy(&logits.to_dtype(working)?, targets, self.rule.clone())?;
        Ok(loss.to_dtype(dtype)?)
    }

    fn wrong_logits(&self, got: &[usize], expected: String) -> Result<Tensor> {
        Err(Error::WrongShape {
            layer: LAYER,
            what: "logits",
            got: got.to_vec(),
            expected,
            cure: "one logit for each class".to_string(),
        })
    }

    fn read_targets(&self, targets: &Tensor, classes: usize, working: DType) -> Result<Targets> {
        if working_dtype(targets.dtype()).is_some() {
            return Ok(Targets::Probabilities(targets.to_dtype(working)?));
        }
        let flat = targets.to_device(&Device::Cpu)?.flatten_all()?;
        let indices: Vec<i64> = match flat.dtype() {
            DType::I64 => flat.to_vec1::<i64>()?,
            DType::U32 => flat.to_vec1::<u32>()?.into_iter().map(i64::from).collect(),
            DType::U8 => flat.to_vec1::<u8>()?.into_iter().map(i64::from).collect(),
            got => {
                return Err(Error::WrongDType {
                    layer: LAYER,
                    what: "targets",
                    got,
                    expected: "i64, u32 or u8 for class indices, the logits' dtype for probabilities",
                });
            }
        };
        for (position, &target) in indices.iter().enumerate() {
            let is_class = usize::try_from(target).is_ok_and(|target| target < classes);
            if !is_class && target != self.rule.ignore_index {
                return Err(Error::TargetOutOfRange {
                    target,
                    position,
                    classes,
                });
            }
        }
        Ok(Targets::Indices(indices))
    }
}
