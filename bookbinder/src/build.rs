//! The static book, outputs included.
