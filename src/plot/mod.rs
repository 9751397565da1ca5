//! Pictures; each is a figure that shows itself under a cell.
