//! Cells and their stored outputs as HTML, inside mdBook.
