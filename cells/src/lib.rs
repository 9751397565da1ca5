//! What a cell depends on, under the name `candlelight`: everything of that crate, as one shared
//! library, and what only a notebook needs.

mod checkpoints;
mod live_figure;
mod live_plot;
#[cfg(feature = "cuda")]
mod missing;
mod progress_line;

pub use candlelight::*;
pub use live_figure::LiveFigure;
pub use live_plot::live_plot;
pub use progress_line::progress_line;

/// The project's root, where `data` is.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The one line that a cell imports: `use candlelight::prelude::*;`.
pub mod prelude {
    pub use candlelight::prelude::*;

    pub use crate::{LiveFigure, live_plot, progress_line};
}

/// Whether the book's kernel shows what is printed: it writes over a line and over a picture.
fn redraws() -> bool {
    std::env::var_os("CANDLELIGHT_REDRAWS").is_some()
}
