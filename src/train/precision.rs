use std::fmt;

/// The precision in which a CUDA card multiplies the numbers of convolutions and fully connected layers. The products
/// are added as f32, and all else stays f32. Equivalent of what `torch.set_float32_matmul_precision` takes.
///
/// # Differences from PyTorch
///
/// It holds for convolutions, too, which PyTorch sets apart by `torch.backends.cudnn.allow_tf32`, true by default; and it
/// belongs to a trainer, not to the whole program. A bias's gradient is a sum of numbers rounded like that, too.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Precision::default(), Precision::Highest);
/// assert_eq!(Precision::High.to_string(), "high");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// As f32: 24 significant bits.
    #[default]
    Highest,
    /// As TensorFloat-32 by tensor cores: 11 significant bits.
    High,
    /// As bf16 by tensor cores: 8 significant bits.
    Medium,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Highest => "highest",
            Self::High => "high",
            Self::Medium => "medium",
        })
    }
}
