//! Data sets: MNIST and its siblings, from disk or from the network, and the loader that cuts them into
//! batches.

mod dataset;
mod download;
pub mod idx;
mod loader;
mod mnist;
mod progress;
mod statistics;
mod subset;

pub use dataset::{Dataset, RawImages};
pub use loader::{Batch, Batches, DataLoader, DataLoaderBuilder};
pub use mnist::{
    Digits, Fashion, FashionMnist, KMnist, Kuzushiji, Mnist, MnistBuilder, MnistKind, MnistLike,
    Resource,
};
pub use progress::DownloadProgress;
pub use statistics::mean_and_std;
pub use subset::Subset;
