use super::Transform;
use crate::Result;

/// One transform after another. Equivalent of `torchvision.transforms.Compose`; written with
/// [`compose!`](crate::compose).
///
/// `y = second(first(x))`
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
/// assert!(transform.is_pointwise());
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
