//! Layers: convolution, max pooling, fully connected; and two networks made of them.
