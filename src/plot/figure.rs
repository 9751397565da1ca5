use std::path::Path;
use std::{fmt, fs};

use crate::{Error, Result};

/// The colour of text and axes, and of what is behind them: a page sets the two variables, and
/// where nobody does the picture is dark on white.
pub(super) const FOREGROUND: &str = "var(--figure-fg,#222)";
pub(super) const BACKGROUND: &str = "var(--figure-bg,#fff)";

/// A picture, as SVG. As the last expression of a cell, it shows itself under the cell.
///
/// Its text and axes take the colours `--figure-fg` and `--figure-bg` of the page it is in, so it
/// reads on light and on dark.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let figure = plot::lines("A parabola", "x", "x²", &[("x²", [(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)])])?;
/// assert!(figure.svg().starts_with("<svg"));
///
/// let path = std::env::temp_dir().join("parabola.svg");
/// figure.save(&path)?;
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Figure {
    svg: String,
    width: u32,
    height: u32,
}

impl Figure {
    pub(super) fn new(svg: String, width: u32, height: u32) -> Self {
        Self { svg, width, height }
    }

    /// The picture, to put into a page.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// Writes it to an SVG file, dark on white whatever page it comes from.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let svg = self
            .svg
            .replace(FOREGROUND, "#222")
            .replace(BACKGROUND, "#fff");
        fs::write(&path, svg).map_err(|source| Error::Io {
            path: path.as_ref().into(),
            source,
        })
    }

    /// Shows it under a notebook's cell: evcxr calls this for a cell's last expression.
    pub fn evcxr_display(&self) {
        println!(
            "EVCXR_BEGIN_CONTENT image/svg+xml\n{}\nEVCXR_END_CONTENT",
            self.svg
        );
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Figure({} × {}, {} bytes of SVG)",
            self.width,
            self.height,
            self.svg.len()
        )
    }
}
