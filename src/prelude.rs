//! The one line that a cell imports: `use candlelight::prelude::*;`.
