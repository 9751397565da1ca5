//! Max pooling with the exact gradient: an output's gradient goes, whole, to the one input that
//! was its maximum.
//!
//! candle's own gives each of the window's values a share.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
#[cfg(feature = "cuda")]
use candle_core::{
    CudaDevice, CudaStorage, backend::BackendStorage, cuda_backend::cudarc::driver::CudaSlice,
};
use rayon::prelude::*;

use super::buffer::{Element, elements, for_float, output, with_elements, zeros};
#[cfg(feature = "cuda")]
use super::cuda;
use crate::size::Size2;

const NAME: &str = "max_pool2d";

/// The index of a window that lies in the padding alone, as a dilated one may.
pub(crate) const NO_PIXEL: u32 = u32::MAX;

/// How many inputs a thread takes at least: below, waking it takes longer than the work.
const PIXELS_A_TASK: usize = 1 << 18;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) kernel: Size2,
    pub(crate) stride: Size2,
    pub(crate) padding: Size2,
    pub(crate) dilation: Size2,
    pub(crate) input: Size2,
    pub(crate) output: Size2,
}

/// Where the maxima were, as row · W + column in their image.
#[derive(Clone)]
pub(crate) enum Indices {
    Here(Arc<Vec<u32>>),
    #[cfg(feature = "cuda")]
    OnCard(Arc<CudaSlice<u32>>, CudaDevice),
}

impl Indices {
    /// The indices; from a card they are copied.
    pub(crate) fn read(&self) -> Result<Arc<Vec<u32>>> {
        match self {
            Self::Here(indices) => Ok(indices.clone()),
            #[cfg(feature = "cuda")]
            Self::OnCard(indices, device) => Ok(Arc::new(device.clone_dtoh(&**indices)?)),
        }
    }
}

/// The maxima of `input` (…, H, W) and where they were.
pub(crate) fn max_pool2d(input: &Tensor, geometry: Geometry) -> Result<(Tensor, Indices)> {
    if geometry.input.h as u64 * geometry.input.w as u64 > u64::from(u32::MAX) {
        bail!("{NAME}: an image of more than 2³² pixels");
    }
    if input.device().is_metal() {
        // Moving a tensor to another device has a gradient of its own in candle.
        let (output, indices) = max_pool2d(&input.to_device(&Device::Cpu)?, geometry)?;
        return Ok((output.to_device(input.device())?, indices));
    }
    let indices = Arc::new(OnceLock::new());
    let op = MaxPool2dOp {
        geometry,
        indices: indices.clone(),
    };
    let output = input.contiguous()?.apply_op1(op)?;
    match indices.get() {
        Some(indices) => Ok((output, indices.clone())),
        None => bail!("{NAME}: no indices"),
    }
}

struct MaxPool2dOp {
    geometry: Geometry,
    /// Written by the forward pass, read by the backward pass.
    indices: Arc<OnceLock<Indices>>,
}

impl MaxPool2dOp {
    fn output_shape(&self, input: &Layout) -> Shape {
        let mut dims = input.dims().to_vec();
        let Size2 { h, w } = self.geometry.output;
        let rank = dims.len();
        dims[rank - 2..].copy_from_slice(&[h, w]);
        dims.into()
    }
}

impl CustomOp1 for MaxPool2dOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dims = self.output_shape(layout);
        for_float!(input, NAME, T => {
            let (values, indices) = forward(&self.geometry, elements::<T>(input, layout)?)?;
            // Set once: an operation is applied once.
            let _ = self.indices.set(Indices::Here(Arc::new(indices)));
            output(values, dims)
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let shape = self.output_shape(layout);
        let found = cuda::max_pool2d::forward(&self.geometry, input, layout, shape.clone())?;
        let (values, indices) = found;
        let device = input.device().clone();
        let _ = self.indices.set(Indices::OnCard(Arc::new(indices), device));
        Ok((values, shape))
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(indices) = self.indices.get() else {
            bail!("{NAME}: the gradient was asked for before the value");
        };
        let grad = grad.contiguous()?;
        let grad = match (indices, grad.dtype()) {
            (Indices::Here(indices), DType::F64) => {
                backward::<f64>(&self.geometry, input, &grad, indices)
            }
            (Indices::Here(indices), _) => backward::<f32>(&self.geometry, input, &grad, indices),
            #[cfg(feature = "cuda")]
            (Indices::OnCard(indices, _), _) => {
                cuda::max_pool2d::gradient(&self.geometry, input, &grad, indices)
            }
        };
        grad.map(Some)
    }
}

fn forward<T: Element>(geometry: &Geometry, input: &[T]) -> Result<(Vec<T>, Vec<u32>)> {
    let in_pixels = geometry.input.h * geometry.input.w;
    let planes = input.len() / in_pixels;
    let Some(out_pixels) = geometry.output.checked_area() else {
        bail!("{NAME}: the output does not fit into memory");
    };
    let Some(n) = planes.checked_mul(out_pixels) else {
        bail!("{NAME}: the output does not fit into memory");
    };
    let mut values = zeros(n)?;
    let mut indices = vec![0; n];
    let two = Size2::from(2);
    let halves = geometry.kernel == two
        && geometry.stride == two
        && geometry.padding == Size2::from(0)
        && geometry.dilation == Size2::from(1)
        && 2 * geometry.output.h <= geometry.input.h
        && 2 * geometry.output.w <= geometry.input.w;
    values
        .par_chunks_mut(out_pixels)
        .zip(indices.par_chunks_mut(out_pixels))
        .zip(input.par_chunks(in_pixels))
        .with_min_len(PIXELS_A_TASK.div_ceil(in_pixels))
        .for_each(|((values, indices), plane)| {
            if halves {
                plane_2x2(geometry, plane, values, indices);
            } else {
                any_plane(geometry, plane, values, indices);
            }
        });
    Ok((values, indices))
}

/// Windows of 2×2, side by side, within the image: what nearly every network uses.
fn plane_2x2<T: Element>(geometry: &Geometry, plane: &[T], values: &mut [T], indices: &mut [u32]) {
    let (width, out_width) = (geometry.input.w, geometry.output.w);
    let rows = values
        .chunks_mut(out_width)
        .zip(indices.chunks_mut(out_width));
    for (y, (values, indices)) in rows.enumerate() {
        let start = 2 * y * width;
        let upper = plane[start..][..width].chunks_exact(2);
        let lower = plane[start + width..][..width].chunks_exact(2);
        let outputs = values.iter_mut().zip(indices);
        // Without branches: which of the values is larger is as good as random.
        for (((value, index), (up, low)), x) in outputs.zip(upper.zip(lower)).zip(0u32..) {
            let above_right = wins(up[1], up[0]);
            let below_right = wins(low[1], low[0]);
            let above = T::select(above_right, up[1], up[0]);
            let below = T::select(below_right, low[1], low[0]);
            let down = wins(below, above);
            *value = T::select(down, below, above);
            let right = u32::from((down & below_right) | (!down & above_right));
            let place = start as u32 + 2 * x + right;
            *index = place + u32::from(down) * width as u32;
        }
    }
}

/// Whether a later value takes the place of the maximum so far.
fn wins<T: Element>(value: T, best: T) -> bool {
    (value > best) | value.is_nan()
}

fn any_plane<T: Element>(geometry: &Geometry, plane: &[T], values: &mut [T], indices: &mut [u32]) {
    let Geometry {
        kernel,
        stride,
        padding,
        dilation,
        input,
        output,
    } = *geometry;
    for y in 0..output.h {
        let rows = taps(y * stride.h, padding.h, kernel.h, dilation.h, input.h);
        for x in 0..output.w {
            let columns = taps(x * stride.w, padding.w, kernel.w, dilation.w, input.w);
            let mut best = T::NEG_INFINITY;
            // As in PyTorch, a window of −∞ alone points to its first pixel.
            let first = rows.clone().next().zip(columns.clone().next());
            let mut place = first.map_or(NO_PIXEL as usize, |(row, column)| row * input.w + column);
            for row in rows.clone() {
                for column in columns.clone() {
                    let at = row * input.w + column;
                    let value = plane[at];
                    if wins(value, best) {
                        (best, place) = (value, at);
                    }
                }
            }
            values[y * output.w + x] = best;
            indices[y * output.w + x] = place as u32;
        }
    }
}

/// The pixels along one axis that a window reads: from `start` − `padding`, `dilation` apart,
/// without those in the padding.
fn taps(
    start: usize,
    padding: usize,
    kernel: usize,
    dilation: usize,
    input: usize,
) -> impl Iterator<Item = usize> + Clone {
    (0..kernel)
        .filter_map(move |tap| (start + tap * dilation).checked_sub(padding))
        .filter(move |&at| at < input)
}

fn backward<T: Element>(
    geometry: &Geometry,
    input: &Tensor,
    grad: &Tensor,
    indices: &[u32],
) -> Result<Tensor> {
    let in_pixels = geometry.input.h * geometry.input.w;
    let out_pixels = geometry.output.h * geometry.output.w;
    let mut values = zeros::<T>(input.elem_count())?;
    with_elements::<T, _>(grad, |grad| {
        values
            .par_chunks_mut(in_pixels)
            .zip(grad.par_chunks(out_pixels))
            .zip(indices.par_chunks(out_pixels))
            .with_min_len(PIXELS_A_TASK.div_ceil(in_pixels))
            .for_each(|((values, grad), indices)| {
                for (&index, &grad) in indices.iter().zip(grad) {
                    if index != NO_PIXEL {
                        values[index as usize] += grad;
                    }
                }
            });
        Ok(())
    })?;
    Tensor::from_vec(values, input.shape(), input.device())
}
