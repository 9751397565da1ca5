//! An int or a pair; the arithmetic of output sizes.
