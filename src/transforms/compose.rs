use std::fmt;

use super::Transform;
use crate::Result;

/// One transform after another. Equivalent of `torchvision.transforms.Compose`; written with
/// [`compose!`](crate::compose).
///
/// `y = second(first(x))`
///
/// # Shape
///
/// The first takes the input, the second what the first gives; the output is the second's.
///
/// # Errors
///
/// Those of the first, then those of the second.
///
/// # Differences from PyTorch
///
/// What the first gives must be what the second takes: checked by the compiler, not on the first
/// image.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
/// use image::GrayImage;
///
/// # fn main() -> Result<()> {
/// let transform = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
/// let tensor = transform.apply(&GrayImage::new(28, 28))?;
/// assert_eq!(tensor.dims(), [1, 28, 28]);
/// assert_eq!(
///     transform.to_string(),
///     "Compose(\n    ToTensor()\n    Normalize(mean=[0.1307], std=[0.3081])\n)"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Compose<A, B> {
    first: A,
    second: B,
}

impl<A, B> Compose<A, B> {
    /// `first`, then `second`.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<Input, A, B> Transform<Input> for Compose<A, B>
where
    A: Transform<Input>,
    B: Transform<A::Output>,
{
    type Output = B::Output;

    fn apply(&self, input: &Input) -> Result<B::Output> {
        self.second.apply(&self.first.apply(input)?)
    }

    fn is_pointwise(&self) -> bool {
        self.first.is_pointwise() && self.second.is_pointwise()
    }
}

impl<A: fmt::Display, B: fmt::Display> fmt::Display for Compose<A, B> {
    /// What torchvision's `repr` prints: a line for each transform.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A chain of three is a chain of two, then the third: one list all the same.
        let first = self.first.to_string();
        let lines = first
            .strip_prefix("Compose(\n")
            .and_then(|lines| lines.strip_suffix("\n)"));
        match lines {
            Some(lines) => write!(f, "Compose(\n{lines}\n    {}\n)", self.second),
            None => write!(f, "Compose(\n    {first}\n    {}\n)", self.second),
        }
    }
}

/// Chains transforms: `compose![a, b, c]` is `a`, then `b`, then `c`. Equivalent of
/// `torchvision.transforms.Compose([a, b, c])`; see [`Compose`](crate::transforms::Compose).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let transform = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
/// assert!(Transform::<GrayImage>::is_pointwise(&transform));
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! compose {
    ($only:expr $(,)?) => { $only };
    ($first:expr, $second:expr $(, $rest:expr)* $(,)?) => {
        $crate::compose![$crate::transforms::Compose::new($first, $second) $(, $rest)*]
    };
}
