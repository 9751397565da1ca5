//! Chapters to executed notebooks.
