//! What the book's pages compute when a reader moves a slider: the support crate's own layers, losses and
//! optimizers, compiled to WebAssembly. A page sends what its controls say as text, `kernel_size=3 stride=2,1`, and
//! draws the numbers that come back.
//!
//! Everything here runs natively too, which is how it is tested.

mod conv2d;
mod cross_entropy;
mod descent;
mod digit;
mod drawing;
mod maps;
mod max_pool2d;
mod optimizer;
mod options;
mod pictures;
mod training;
mod window;

pub use conv2d::{Conv2dView, conv2d};
pub use cross_entropy::{CrossEntropyView, cross_entropy};
pub use descent::{Path, descend, surface};
pub use digit::{DigitView, digit};
pub use maps::Maps;
pub use max_pool2d::{MaxPool2dView, max_pool2d};
pub use pictures::test_digit;
pub use training::{Training, training};

use wasm_bindgen::prelude::wasm_bindgen;

/// Called once by the page: a panic then says where it was.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
