use super::Figure;
use super::heat_map::Grid;
use crate::Result;
use crate::train::Confusion;

/// How often each class was taken for each: a row for each true class, a column for each prediction.
/// The diagonal, which is right, is left out of the colour scale, so that mistakes show.
///
/// # Errors
///
/// [`Error::Plot`](crate::Error::Plot) where there is no class.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let confusion = Confusion::new(&[0, 1, 1, 2], &[0, 1, 2, 2], 3)?;
/// let figure = plot::confusion(&confusion)?;
/// assert!(figure.svg().contains("predicted"));
/// # Ok(())
/// # }
/// ```
pub fn confusion(confusion: &Confusion) -> Result<Figure> {
    let classes = confusion.classes();
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let title = format!("{:.2}% right", 100.0 * confusion.accuracy());
    Grid {
        values: confusion
            .counts()
            .iter()
            .flatten()
            .map(|&count| count as f64)
            .collect(),
        rows: names.clone(),
        columns: names,
        title: &title,
        x_label: "predicted",
        y_label: "true",
        text: &|count| {
            if count == 0.0 {
                String::new()
            } else {
                format!("{count:.0}")
            }
        },
        gray_diagonal: true,
    }
    .draw("plot::confusion")
}
