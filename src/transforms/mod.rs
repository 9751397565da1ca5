//! Transforms of images: to a tensor, normalised, one after another.
