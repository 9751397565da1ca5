//! Data sets: MNIST from disk, and the loader that cuts it into batches.
