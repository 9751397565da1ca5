//! What a cell depends on, under the name `candlelight`: everything of that crate, as one shared
//! library.

pub use candlelight::*;
