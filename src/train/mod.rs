//! Training: the device, the trainer, its history and its metrics.
