//! What a cell depends on, under the name `candlelight`: everything of that crate, as one shared
//! library, and what only a notebook needs.

mod progress_line;

pub use candlelight::*;
pub use progress_line::progress_line;

/// The project's root, where `data` is.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The one line that a cell imports: `use candlelight::prelude::*;`.
pub mod prelude {
    pub use candlelight::prelude::*;

    pub use crate::progress_line;
}
