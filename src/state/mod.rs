//! Saved state: named tensors and numbers, and the files that hold them.

mod dict;
mod file;
mod reader;

pub use dict::StateDict;
pub(crate) use file::{read, write};
pub(crate) use reader::Reader;
