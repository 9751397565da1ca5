//! Data sets: MNIST from disk, and the loader that cuts it into batches.

mod dataset;
pub mod idx;
mod loader;
mod mnist;
mod source;
mod statistics;
mod subset;

pub use dataset::Dataset;
pub use loader::{Batch, Batches, DataLoader, DataLoaderBuilder};
pub use mnist::{Mnist, MnistBuilder};
pub use statistics::mean_and_std;
pub use subset::Subset;
