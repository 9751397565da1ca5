//! A chapter as a notebook.
