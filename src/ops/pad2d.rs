//! Padding with the image's own pixels: forward gathers them, backward adds up what flows to a
//! pixel that was taken more than once.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::buffer::{Element, add, elements, for_float, output, with_elements, zeros};
use crate::nn::PaddingMode;
use crate::size::Size2;

const NAME: &str = "pad2d";

/// How many pixels a thread takes at least: below, waking it takes longer than the work.
const PIXELS_A_TASK: usize = 1 << 17;

/// `input` (N, C, H, W) with rows and columns added `before` and `after`; the layer has checked that
/// the image has enough pixels for the mode, and that it is not zeros: those the convolution adds itself.
pub(crate) fn pad2d(
    input: &Tensor,
    mode: PaddingMode,
    before: Size2,
    after: Size2,
) -> Result<Tensor> {
    let (_, _, h, w) = input.dims4()?;
    let rows = Axis::new(h, before.h, after.h)?;
    let columns = Axis::new(w, before.w, after.w)?;
    if input.device().is_cpu() {
        let op = Pad2dOp {
            mode,
            rows,
            columns,
        };
        return input.contiguous()?.apply_op1(op);
    }
    let select = |tensor: &Tensor, axis: Axis, dim: usize| {
        let sources: Vec<u32> = axis.sources(mode).map(|source| source as u32).collect();
        tensor.index_select(&Tensor::new(sources, tensor.device())?, dim)
    };
    select(&select(input, rows, 2)?, columns, 3)
}

/// Rows or columns: so many, and the padding before them and in all.
#[derive(Clone, Copy)]
struct Axis {
    length: usize,
    before: usize,
    padded: usize,
}

impl Axis {
    fn new(length: usize, before: usize, after: usize) -> Result<Self> {
        let padded = length
            .checked_add(before)
            .and_then(|n| n.checked_add(after));
        match padded {
            Some(padded) if length > 0 => Ok(Self {
                length,
                before,
                padded,
            }),
            _ => bail!("{NAME}: an axis of {length}, padded by {before} and {after}"),
        }
    }

    /// Which pixel each position of the padded axis shows.
    fn sources(self, mode: PaddingMode) -> impl Iterator<Item = usize> {
        let Self { length, before, .. } = self;
        (0..self.padded).map(move |at| match mode {
            PaddingMode::Circular => (at + length - before) % length,
            PaddingMode::Reflect if at < before => before - at,
            PaddingMode::Reflect if at - before >= length => 2 * (length - 1) - (at - before),
            _ => at.saturating_sub(before).min(length - 1),
        })
    }
}

struct Pad2dOp {
    mode: PaddingMode,
    rows: Axis,
    columns: Axis,
}

impl Pad2dOp {
    /// How many pixels an image plane has, and a padded one.
    fn pixels(&self) -> Result<(usize, usize)> {
        match self.rows.padded.checked_mul(self.columns.padded) {
            Some(padded) => Ok((self.rows.length * self.columns.length, padded)),
            None => bail!("{NAME}: the padded image does not fit into memory; use less padding"),
        }
    }

    fn forward<T: Element>(&self, input: &[T], planes: usize) -> Result<Vec<T>> {
        let (pixels, padded) = self.pixels()?;
        let Some(n) = planes.checked_mul(padded) else {
            bail!("{NAME}: the padded images do not fit into memory; use less padding");
        };
        let mut values = zeros::<T>(n)?;
        if n == 0 {
            return Ok(values);
        }
        let rows: Vec<usize> = self.rows.sources(self.mode).collect();
        let columns: Vec<usize> = self.columns.sources(self.mode).collect();
        values
            .par_chunks_mut(padded)
            .zip(input.par_chunks(pixels))
            .with_min_len(PIXELS_A_TASK.div_ceil(padded))
            .for_each(|(values, plane)| {
                let lines = values.chunks_mut(self.columns.padded);
                for (line, &row) in lines.zip(&rows) {
                    let source = &plane[row * self.columns.length..][..self.columns.length];
                    let (left, rest) = line.split_at_mut(self.columns.before);
                    let (middle, right) = rest.split_at_mut(source.len());
                    middle.copy_from_slice(source);
                    for (value, &column) in left.iter_mut().zip(&columns) {
                        *value = source[column];
                    }
                    let after = columns.iter().rev();
                    for (value, &column) in right.iter_mut().rev().zip(after) {
                        *value = source[column];
                    }
                }
            });
        Ok(values)
    }

    fn backward<T: Element>(&self, grad: &[T], planes: usize) -> Result<Vec<T>> {
        let (pixels, padded) = self.pixels()?;
        let mut values = zeros::<T>(planes * pixels)?;
        if values.is_empty() {
            return Ok(values);
        }
        let rows: Vec<usize> = self.rows.sources(self.mode).collect();
        let columns: Vec<usize> = self.columns.sources(self.mode).collect();
        values
            .par_chunks_mut(pixels)
            .zip(grad.par_chunks(padded))
            .with_min_len(PIXELS_A_TASK.div_ceil(padded))
            .for_each(|(values, grad)| {
                for (line, &row) in grad.chunks(self.columns.padded).zip(&rows) {
                    let into = &mut values[row * self.columns.length..][..self.columns.length];
                    let (left, rest) = line.split_at(self.columns.before);
                    let (middle, right) = rest.split_at(into.len());
                    add(into, middle);
                    for (&grad, &column) in left.iter().zip(&columns) {
                        into[column] += grad;
                    }
                    for (&grad, &column) in right.iter().rev().zip(columns.iter().rev()) {
                        into[column] += grad;
                    }
                }
            });
        Ok(values)
    }

    fn gradient<T: Element>(&self, input: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (images, channels, ..) = input.dims4()?;
        let backward = |grad: &[T]| self.backward(grad, images * channels);
        let values = with_elements::<T, _>(grad, backward)?;
        Tensor::from_vec(values, input.shape(), input.device())
    }
}

impl CustomOp1 for Pad2dOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, channels, ..) = layout.shape().dims4()?;
        let shape = (images, channels, self.rows.padded, self.columns.padded);
        for_float!(input, NAME, T => {
            let input = elements::<T>(input, layout)?;
            output(self.forward(input, images * channels)?, shape)
        })
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(match grad.dtype() {
            DType::F64 => self.gradient::<f64>(input, &grad)?,
            _ => self.gradient::<f32>(input, &grad)?,
        }))
    }
}
