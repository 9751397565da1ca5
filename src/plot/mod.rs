//! Pictures; each is a [`Figure`] that shows itself under a cell.
//!
//! | picture | shows |
//! |---|---|
//! | [`lines()`] | curves over a number: a loss by step |
//! | [`bars()`], [`histogram()`] | a value for each name, a distribution |
//! | [`paths()`] | a loss of two parameters as a map, and optimizers' paths on it |
//! | [`roofline()`] | how fast work runs, beside what the machine's arithmetic and memory allow |
//! | [`images()`] | pictures side by side, each with a caption |
//! | [`heat_map()`] | a matrix, with its values where they fit |
//! | [`feature_maps()`], [`maps()`] | the channels of a tensor, on one colour scale |
//! | [`history()`], [`history_of()`] | a training run: [`History::plot`](crate::train::History::plot); one that goes on |
//! | [`confusion()`] | [`Confusion::plot`](crate::train::Confusion::plot) |
//! | [`mistakes()`] | images with what they are and what the net saw in them |

mod axis;
mod bars;
mod chart;
mod color;
mod confusion;
mod feature_maps;
mod figure;
mod heat_map;
mod history;
mod images;
mod lines;
mod mistakes;
mod names;
mod paths;
mod roofline;
mod svg;

pub use bars::{bars, histogram};
pub use confusion::confusion;
pub use feature_maps::{feature_maps, maps};
pub use figure::Figure;
pub use heat_map::heat_map;
pub use history::{history, history_of};
pub use images::{ImageTile, images};
pub use lines::lines;
pub use mistakes::mistakes;
pub use paths::paths;
pub use roofline::roofline;
