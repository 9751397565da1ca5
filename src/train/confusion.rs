use std::fmt;

use crate::plot::{self, Figure};
use crate::{Error, Result};

/// How often each class was taken for each. `Display` is a table: a row for each true class, a
/// column for each prediction.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let (targets, predictions) = ([0, 1, 1, 2], [0, 1, 2, 2]);
/// let confusion = Confusion::new(&targets, &predictions, 3)?;
/// assert_eq!(confusion.counts()[1], [0, 1, 1]);
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.recall(1), Some(0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts pairs of a true and a predicted class.
    ///
    /// | parameter | meaning | valid |
    /// |---|---|---|
    /// | `targets` | the true classes | each 0 to `classes` - 1 |
    /// | `predictions` | the predicted ones | as many as `targets`, each 0 to `classes` - 1 |
    /// | `classes` | how many classes there are | at least 1 |
    ///
    /// # Errors
    ///
    /// [`Error::WrongShape`] where the two have different lengths, [`Error::IndexOutOfRange`] where a
    /// class is out of range.
    pub fn new(targets: &[i64], predictions: &[i64], classes: usize) -> Result<Self> {
        if targets.len() != predictions.len() {
            return Err(Error::WrongShape {
                layer: "Confusion",
                what: "predictions",
                got: vec![predictions.len()],
                expected: format!("({}), one for each target", targets.len()),
                cure: "take both from the same evaluation".into(),
            });
        }
        let index = |class: i64| match usize::try_from(class) {
            Ok(index) if index < classes => Ok(index),
            _ => Err(Error::IndexOutOfRange {
                what: "class",
                index: class,
                len: classes,
            }),
        };
        let mut counts = vec![vec![0; classes]; classes];
        for (&target, &prediction) in targets.iter().zip(predictions) {
            counts[index(target)?][index(prediction)?] += 1;
        }
        Ok(Self { counts })
    }

    /// The counts: `counts()[target][prediction]`.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// The fraction that is right; not a number where there is nothing.
    pub fn accuracy(&self) -> f64 {
        let right: usize = self
            .counts
            .iter()
            .enumerate()
            .map(|(class, row)| row[class])
            .sum();
        right as f64 / self.counts.iter().flatten().sum::<usize>() as f64
    }

    /// Of the images of a class, the fraction that was found; `None` where there are none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let row = self.counts.get(class)?;
        ratio(row[class], row.iter().sum())
    }

    /// Of the images taken for a class, the fraction that is of it; `None` where there are none.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let found = self.counts.get(class)?[class];
        ratio(found, self.counts.iter().map(|row| row[class]).sum())
    }

    /// As colours, mistakes standing out.
    ///
    /// # Errors
    ///
    /// [`Error::Plot`] where there is no class.
    pub fn plot(&self) -> Result<Figure> {
        plot::confusion(self)
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "true\\predicted")?;
        for class in 0..self.classes() {
            write!(f, " {class:>5}")?;
        }
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "\n{class:>14}")?;
            for count in row {
                write!(f, " {count:>5}")?;
            }
        }
        Ok(())
    }
}
