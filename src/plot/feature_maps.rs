use candle_core::Tensor;

use super::Figure;
use super::color::Scale;
use super::heat_map::color_bar;
use super::images::{Layout, Tile, matrix};
use super::svg::{Canvas, alike, text_width};
use crate::{Error, Result};

/// Each channel of a tensor as a map of colours, all on one scale: white is 0, blue is above, and
/// orange below.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `tensor` | (C, H, W) or (1, C, H, W) | at least one value |
/// | `captions` | what is written under each channel | C of them; or none, and they are numbered |
///
/// # Errors
///
/// [`Error::Plot`] for another shape or number of captions.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let channels = Tensor::arange(0f32, 32.0, &Device::Cpu)?.reshape((2, 4, 4))?;
/// let figure = plot::feature_maps(&channels, &["first", "second"])?;
/// assert!(figure.svg().contains("second"));
/// # Ok(())
/// # }
/// ```
pub fn feature_maps<S: AsRef<str>>(tensor: &Tensor, captions: &[S]) -> Result<Figure> {
    let picture = "plot::feature_maps";
    let tensor = match *tensor.dims() {
        [_, _, _] => tensor.clone(),
        [1, _, _, _] => tensor.squeeze(0)?,
        ref dims => {
            let problem = format!(
                "the tensor has shape {dims:?}, expected (C, H, W); pick one image with get"
            );
            return Err(Error::Plot { picture, problem });
        }
    };
    let channels = tensor.dim(0)?;
    if !captions.is_empty() && captions.len() != channels {
        let problem = format!(
            "{} captions for {channels} channels; give one for each, or none",
            captions.len()
        );
        return Err(Error::Plot { picture, problem });
    }
    let maps = (0..channels)
        .map(|channel| {
            let caption = captions
                .get(channel)
                .map_or_else(|| channel.to_string(), |c| c.as_ref().to_string());
            Ok((caption, tensor.get(channel)?))
        })
        .collect::<Result<Vec<_>>>()?;
    draw(picture, &maps, channels.min(5))
}

/// Matrices of any sizes as maps of colours, all on one scale, `columns` to a row.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `maps` | pairs of a caption and a tensor (H, W), (1, H, W) or (1, 1, H, W) | at least one |
/// | `columns` | maps in a row | at least 1 |
///
/// # Errors
///
/// [`Error::Plot`] for another shape, where there is no map or `columns` is 0.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let large = Tensor::ones((8, 8), DType::F32, &Device::Cpu)?;
/// let small = Tensor::ones((4, 4), DType::F32, &Device::Cpu)?;
/// let figure = plot::maps(&[("stride 1", large), ("stride 2", small)], 2)?;
/// assert!(figure.svg().contains("stride 2"));
/// # Ok(())
/// # }
/// ```
pub fn maps<S: AsRef<str>>(maps: &[(S, Tensor)], columns: usize) -> Result<Figure> {
    draw("plot::maps", maps, columns)
}

fn draw<S: AsRef<str>>(
    picture: &'static str,
    maps: &[(S, Tensor)],
    columns: usize,
) -> Result<Figure> {
    let matrices = maps
        .iter()
        .map(|(_, map)| matrix(picture, map))
        .collect::<Result<Vec<_>>>()?;
    let scale = Scale::of(
        matrices
            .iter()
            .flat_map(|(values, _, _)| values.iter().copied()),
    );
    let tiles: Vec<Tile> = matrices
        .iter()
        .zip(maps)
        .map(|((values, rows, columns), (caption, _))| Tile {
            rgb: values
                .iter()
                .flat_map(|&value| scale.color(value))
                .collect(),
            columns: *columns,
            rows: *rows,
            caption: caption.as_ref(),
        })
        .collect();
    let layout = Layout::new(picture, "", &tiles, columns)?;
    let values = [scale.low, scale.high, (scale.low + scale.high) / 2.0];
    let text = values
        .map(alike(&values))
        .map(|text| text_width(&text, 12.0));
    let width = layout.width + 6.0 + 12.0 + 6.0 + text.into_iter().fold(0.0, f64::max) + 12.0;
    let mut canvas = Canvas::new(width, layout.height);
    layout.draw(&mut canvas, &tiles)?;
    color_bar(
        &mut canvas,
        scale,
        [
            layout.width + 6.0,
            12.0,
            12.0,
            (layout.height - 24.0).min(140.0),
        ],
    )?;
    Ok(canvas.finish())
}
