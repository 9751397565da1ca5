use std::fmt;
use std::sync::Arc;

use super::Transform;
use crate::Result;

/// A transform of your own, as a closure. Equivalent of `torchvision.transforms.Lambda`.
///
/// `y = lambd(x)`
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `lambd` | required | what is done to each image or tensor | a closure from a reference to a `Result` |
///
/// # Shape
///
/// What `lambd` takes and gives.
///
/// # Errors
///
/// Those of `lambd`.
///
/// # Differences from PyTorch
///
/// `lambd` returns a `Result`, and names the type that it takes.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let invert = Lambda::new(|image: &GrayImage| {
///     let mut inverted = image.clone();
///     inverted.iter_mut().for_each(|value| *value = 255 - *value);
///     Ok(inverted)
/// });
/// let twice = Lambda::new(|x: &Tensor| Ok((x * 2.0)?));
/// let transform = compose![invert, ToTensor, twice];
/// let tensor = transform.apply(&GrayImage::new(28, 28))?;
/// assert_eq!(tensor.mean_all()?.to_scalar::<f32>()?, 2.0);
/// # Ok(())
/// # }
/// ```
pub struct Lambda<Input, Output> {
    // Not the closure's own type: nobody could name that, and a cell's variable must have a name.
    lambd: Arc<Closure<Input, Output>>,
}

type Closure<Input, Output> = dyn Fn(&Input) -> Result<Output> + Send + Sync;

impl<Input, Output> Lambda<Input, Output> {
    /// The closure as a transform.
    pub fn new(lambd: impl Fn(&Input) -> Result<Output> + Send + Sync + 'static) -> Self {
        Self {
            lambd: Arc::new(lambd),
        }
    }
}

impl<Input, Output> Transform<Input> for Lambda<Input, Output> {
    type Output = Output;

    fn apply(&self, input: &Input) -> Result<Output> {
        (self.lambd)(input)
    }
}

impl<Input, Output> Clone for Lambda<Input, Output> {
    fn clone(&self) -> Self {
        Self {
            lambd: Arc::clone(&self.lambd),
        }
    }
}

impl<Input, Output> fmt::Debug for Lambda<Input, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<Input, Output> fmt::Display for Lambda<Input, Output> {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda()")
    }
}
