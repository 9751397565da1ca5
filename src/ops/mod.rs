//! The kernels under the layers, forward and backward.
