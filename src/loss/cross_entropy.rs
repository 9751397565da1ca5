//! The cross-entropy between logits and classes.

use candle_core::{DType, Device, Tensor};

use super::Reduction;
use crate::error::invalid;
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
/// `Σ_c w_c·((1 − ε)·t_c + ε/C)·(−log softmax(x)[c])`, and the mean divides by the number of them.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `weight` | none: all 1 | how much each class counts | one number a class |
/// | `ignore_index` | −100 | a target that does not count | any; for class indices |
/// | `reduction` | mean | what becomes of the losses of a batch | [`Reduction`] |
/// | `label_smoothing` | 0 | the part of the truth spread over all classes | 0 to 1 |
///
/// # Shape
///
/// Logits (N, C), (C), or (N, C, d₁, …). Targets: class indices, i64, u32 or u8, of the logits' shape
/// without C; or probabilities, f32 or f64, of the logits' shape. The loss is one number, or with
/// [`Reduction::None`] one for each target.
///
/// # Errors
///
/// When built: [`Error::InvalidParameter`]. In [`forward`](Self::forward): [`Error::WrongShape`],
/// [`Error::WrongDType`], [`Error::TargetOutOfRange`].
///
/// # Differences from PyTorch
///
/// Targets that are probabilities get no gradient. A negative `label_smoothing`, which PyTorch takes
/// for 0, is refused. On another device than the CPU the logits go to the CPU, and the loss comes
/// back.
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
}

/// The parameters of a [`CrossEntropyLoss`] before it is built.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = CrossEntropyLoss::builder().label_smoothing(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "CrossEntropyLoss: label_smoothing=1.5 must be from 0 to 1");
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

    /// A target that does not count; −100 unless set.
    pub fn ignore_index(mut self, ignore_index: i64) -> Self {
        self.ignore_index = Some(ignore_index);
        self
    }

    /// What becomes of the losses of a batch; their mean unless set.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The part of the truth that is spread over all classes; 0 unless set.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where a parameter is outside its range, [`Error::WrongShape`]
    /// where `weight` has more than one axis.
    pub fn build(self) -> Result<CrossEntropyLoss> {
        let smoothing = self.label_smoothing;
        if !(0.0..=1.0).contains(&smoothing) {
            return invalid(LAYER, "label_smoothing", smoothing, "must be from 0 to 1");
        }
        Ok(CrossEntropyLoss {
            rule: Rule {
                weight: self.weight.as_ref().map(class_weights).transpose()?,
                ignore_index: self.ignore_index.unwrap_or(-100),
                reduction: self.reduction,
                smoothing,
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

    /// The loss of `logits` (N, C) for `targets` (N); see above for other shapes.
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] where the shapes do not go together, [`Error::WrongDType`] where the
    /// logits are not f32 or f64 or the targets have another type, [`Error::TargetOutOfRange`] for a
    /// target that is no class and not `ignore_index`.
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
        if !matches!(logits.dtype(), DType::F32 | DType::F64) {
            return Err(Error::WrongDType {
                layer: LAYER,
                what: "logits",
                got: logits.dtype(),
                expected: "f32 or f64",
            });
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
        let probabilities = targets.dtype().is_float();
        if probabilities {
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
        let targets = self.read_targets(targets, classes)?;
        Ok(cross_entropy(logits, targets, self.rule.clone())?)
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

    fn read_targets(&self, targets: &Tensor, classes: usize) -> Result<Targets> {
        let flat = targets.to_device(&Device::Cpu)?.flatten_all()?;
        let indices: Vec<i64> = match flat.dtype() {
            DType::I64 => flat.to_vec1::<i64>()?,
            DType::U32 => flat.to_vec1::<u32>()?.into_iter().map(i64::from).collect(),
            DType::U8 => flat.to_vec1::<u8>()?.into_iter().map(i64::from).collect(),
            DType::F32 | DType::F64 => {
                return Ok(Targets::Probabilities(
                    flat.to_dtype(DType::F64)?.to_vec1::<f64>()?,
                ));
            }
            got => {
                return Err(Error::WrongDType {
                    layer: LAYER,
                    what: "targets",
                    got,
                    expected: "i64, u32 or u8 for class indices, f32 or f64 for probabilities",
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
