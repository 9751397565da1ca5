//! Seeded random numbers: those of PyTorch's CPU generator.
