use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use candlelight::plot::Figure;

/// How many there have been.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A place under the cell for a picture that changes: each [`show`](Self::show) takes the last one's place.
///
/// evcxr's own kernel for Jupyter cannot take a picture back: there the last one appears, once this is dropped.
/// A cell that runs later begins with a place of its own.
///
/// # Differences from IPython
///
/// What `display(figure, display_id=True)` returns there, with its `update`.
///
/// # Example
///
/// ```
/// let mut figure = LiveFigure::new();
/// let mut points = Vec::new();
/// for x in 0..100 {
///     points.push((f64::from(x), f64::from(x * x)));
///     figure.show(&plot::lines("A parabola", "x", "x²", &[("x²", points.clone())])?);
/// }
/// ```
#[derive(Debug)]
pub struct LiveFigure {
    name: u64,
    redraws: bool,
    /// What another kernel will show.
    last: Option<Figure>,
}

impl LiveFigure {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self {
            name: COUNT.fetch_add(1, Ordering::Relaxed),
            redraws: crate::redraws(),
            last: None,
        }
    }

    /// Shows this picture in place of the one before.
    pub fn show(&mut self, figure: &Figure) {
        if !self.redraws {
            self.last = Some(figure.clone());
            return;
        }
        let (name, svg) = (self.name, figure.svg());
        // One write: another thread's line must not come between.
        println!("EVCXR_BEGIN_CONTENT image/svg+xml;display={name}\n{svg}\nEVCXR_END_CONTENT");
        // Where nobody reads there is nobody to tell.
        let _ = std::io::stdout().flush();
    }
}

impl Default for LiveFigure {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LiveFigure {
    fn drop(&mut self) {
        if let Some(figure) = &self.last {
            figure.evcxr_display();
        }
    }
}
