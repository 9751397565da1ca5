use candle_core::Tensor;
use image::{GrayImage, Luma};

use super::Figure;
use super::svg::{Anchor, Canvas};
use crate::{Error, Result};

/// One image of a grid, and what is written under it.
///
/// # Example
///
/// See [`images()`].
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTile {
    /// The image.
    pub pixels: GrayImage,
    /// What is written under it; lines are parted by `\n`.
    pub caption: String,
}

impl ImageTile {
    /// An image and its caption.
    pub fn new(pixels: GrayImage, caption: impl Into<String>) -> Self {
        Self {
            pixels,
            caption: caption.into(),
        }
    }

    /// A tensor (H, W), (1, H, W) or (1, 1, H, W) as an image: its least value black, its greatest white.
    ///
    /// # Errors
    ///
    /// [`Error::Plot`] for another shape.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let ramp = Tensor::arange(0f32, 6.0, &Device::Cpu)?.reshape((2, 3))?;
    /// let tile = ImageTile::from_tensor(&ramp, "a ramp")?;
    /// assert_eq!(tile.pixels.as_raw()[..], [0, 51, 102, 153, 204, 255]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_tensor(tensor: &Tensor, caption: impl Into<String>) -> Result<Self> {
        let (values, rows, columns) = matrix("plot::images", tensor)?;
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        let scale = if high > low {
            255.0 / (high - low)
        } else {
            0.0
        };
        let pixels = GrayImage::from_fn(columns as u32, rows as u32, |x, y| {
            Luma([((values[y as usize * columns + x as usize] - low) * scale).round() as u8])
        });
        Ok(Self::new(pixels, caption))
    }
}

/// Images side by side, `columns` to a row, each with its caption.
///
/// # Errors
///
/// [`Error::Plot`] where there is no image or `columns` is 0.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let tiles = (0..6)
///     .map(|i| Ok(ImageTile::new(test.image(i)?, test.labels()[i].to_string())))
///     .collect::<Result<Vec<_>>>()?;
/// let figure = plot::images(&tiles, 6)?;
/// assert_eq!(figure.svg().matches("<image").count(), 6);
/// # Ok(())
/// # }
/// ```
pub fn images(tiles: &[ImageTile], columns: usize) -> Result<Figure> {
    grid("plot::images", "", tiles, columns)
}

pub(super) fn grid(
    picture: &'static str,
    title: &str,
    tiles: &[ImageTile],
    columns: usize,
) -> Result<Figure> {
    let tiles: Vec<Tile> = tiles
        .iter()
        .map(|ImageTile { pixels, caption }| Tile {
            rgb: pixels.as_raw().iter().flat_map(|&gray| [gray; 3]).collect(),
            columns: pixels.width() as usize,
            rows: pixels.height() as usize,
            caption,
        })
        .collect();
    let layout = Layout::new(picture, title, &tiles, columns)?;
    let mut canvas = Canvas::new(layout.width, layout.height);
    layout.draw(&mut canvas, &tiles)?;
    Ok(canvas.finish())
}

/// A picture in colours, ready to be placed.
pub(super) struct Tile<'a> {
    pub rgb: Vec<u8>,
    pub columns: usize,
    pub rows: usize,
    pub caption: &'a str,
}

/// Where each tile of a grid goes.
pub(super) struct Layout<'a> {
    title: &'a str,
    columns: usize,
    side: f64,
    caption_lines: usize,
    pub width: f64,
    pub height: f64,
}

const GAP: f64 = 12.0;
const CAPTION: f64 = 13.0;
const LINE: f64 = 17.0;

impl<'a> Layout<'a> {
    pub fn new(
        picture: &'static str,
        title: &'a str,
        tiles: &[Tile],
        columns: usize,
    ) -> Result<Self> {
        let fail = |problem: &str| {
            Err(Error::Plot {
                picture,
                problem: problem.into(),
            })
        };
        if columns == 0 {
            return fail("columns=0 must be at least 1");
        }
        if tiles.iter().all(|tile| tile.rgb.is_empty()) {
            return fail("there is no image; give at least one that has pixels");
        }
        let columns = columns.min(tiles.len());
        let caption_lines = tiles
            .iter()
            .map(|tile| tile.caption.lines().count())
            .max()
            .unwrap_or(0);
        // A caption must fit over its tile's width, and the whole on a page.
        let widest = tiles
            .iter()
            .flat_map(|tile| tile.caption.lines())
            .map(|line| super::svg::text_width(line, CAPTION));
        let fits = (640.0 - GAP) / columns as f64 - GAP;
        let side = fits
            .clamp(28.0, 112.0)
            .max(widest.fold(0.0, f64::max).min(180.0))
            .floor();
        let rows = tiles.len().div_ceil(columns) as f64;
        let title_width = super::svg::text_width(title, 15.0) + 2.0 * GAP;
        let width = (GAP + columns as f64 * (side + GAP)).max(title_width);
        let head = if title.is_empty() { GAP } else { 40.0 };
        let height = head + rows * (side + GAP + caption_lines as f64 * LINE);
        Ok(Self {
            title,
            columns,
            side,
            caption_lines,
            width,
            height,
        })
    }

    pub fn draw(&self, canvas: &mut Canvas, tiles: &[Tile]) -> Result<()> {
        let mut top = GAP;
        if !self.title.is_empty() {
            canvas.text(GAP, 25.0, 15.0, Anchor::Start, self.title);
            top = 40.0;
        }
        for (i, tile) in tiles.iter().enumerate() {
            let x = GAP + (i % self.columns) as f64 * (self.side + GAP);
            let y = top
                + (i / self.columns) as f64 * (self.side + GAP + self.caption_lines as f64 * LINE);
            // The longer side fills the place; pixels stay square.
            let pixel = self.side / tile.columns.max(tile.rows).max(1) as f64;
            let (w, h) = (pixel * tile.columns as f64, pixel * tile.rows as f64);
            let place = [x + (self.side - w) / 2.0, y + (self.side - h) / 2.0, w, h];
            canvas.pixels(place, &tile.rgb, tile.columns, tile.caption)?;
            for (line, text) in tile.caption.lines().enumerate() {
                let baseline = y + self.side + LINE * (line as f64 + 0.85);
                canvas.text(x + self.side / 2.0, baseline, CAPTION, Anchor::Middle, text);
            }
        }
        Ok(())
    }
}

/// The values of a tensor (H, W) or (1, H, W), its rows and its columns.
pub(super) fn matrix(picture: &'static str, tensor: &Tensor) -> Result<(Vec<f64>, usize, usize)> {
    let (rows, columns) = match *tensor.dims() {
        [rows, columns] | [1, rows, columns] | [1, 1, rows, columns] => (rows, columns),
        ref dims => {
            let problem = format!(
                "the tensor has shape {dims:?}, expected (H, W); pick one image and channel with get"
            );
            return Err(Error::Plot { picture, problem });
        }
    };
    let values = tensor
        .flatten_all()?
        .to_dtype(candle_core::DType::F64)?
        .to_vec1()?;
    Ok((values, rows, columns))
}
