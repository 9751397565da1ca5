//! `cargo book`: one source, four readers.
//!
//! A chapter in `book/src` is Markdown whose `rust` fences are cells. [`cells`] finds them, [`weave`]
//! runs them through [`engine`] and writes notebooks, [`preprocess`] puts cells and stored outputs on
//! the page, [`serve`] runs them live, and [`check`] proves that all of these agree.

pub mod bench;
pub mod build;
pub mod cells;
pub mod check;
pub mod cli;
pub mod engine;
pub mod exercises;
pub mod expand;
pub mod explorers;
pub mod formulas;
pub mod jupyter;
pub mod notebook;
pub mod outputs;
pub mod parameters;
pub mod preprocess;
pub mod project;
pub mod render;
pub mod serve;
pub mod weave;
