use image::GrayImage;

use super::Figure;
use super::images::{ImageTile, grid};
use crate::Result;
use crate::train::Mistake;

/// Images that a net got wrong: what each is, and what the net took it for and how sure it was.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `mistakes` | [`Evaluation::worst`](crate::train::Evaluation::worst) | at least one |
/// | `image` | gives the image of an index: `\|i\| test.image(i)` | |
///
/// # Errors
///
/// [`Error::Plot`](crate::Error::Plot) where there is no mistake; what `image` returns.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let mistake = Mistake { index: 8, target: 5, prediction: 6, loss: 2.1, probability: 0.8 };
/// let figure = plot::mistakes(&[mistake], |index| test.image(index))?;
/// assert!(figure.svg().contains("is 5"));
/// # Ok(())
/// # }
/// ```
pub fn mistakes(
    mistakes: &[Mistake],
    image: impl Fn(usize) -> Result<GrayImage>,
) -> Result<Figure> {
    let tiles = mistakes
        .iter()
        .map(|mistake| {
            let Mistake {
                index,
                target,
                prediction,
                probability,
                ..
            } = mistake;
            let caption = format!(
                "is {target}\nseen as {prediction}, {:.0}%",
                100.0 * probability
            );
            Ok(ImageTile::new(image(*index)?, caption))
        })
        .collect::<Result<Vec<_>>>()?;
    let title = if tiles.len() == 1 {
        "The worst mistake".into()
    } else {
        format!("The {} worst mistakes", tiles.len())
    };
    grid("plot::mistakes", &title, &tiles, 6)
}
