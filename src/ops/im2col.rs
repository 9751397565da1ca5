//! The convolution on the CPU: each image's windows are written out as the columns of a matrix
//! (im2col), and the convolution is one matrix product an image and group.

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::buffer::{Element, add, sum, zeros};
use super::conv2d::{Geometry, Gradients, Problem};
use super::gemm::{Into, Matrix, Threads, gemm};
use crate::size::Size2;

/// How many images one task takes. Fixed, so that the sums over images do not depend on the
/// number of threads.
const IMAGES_A_TASK: usize = 8;

impl Problem {
    fn sizes(&self) -> Result<Sizes> {
        let groups = self.geometry.groups;
        let sizes = || {
            let in_pixels = self.input.checked_area()?;
            let out_pixels = self.geometry.output.checked_area()?;
            let in_channels = self.in_channels / groups;
            let taps = self
                .geometry
                .kernel
                .checked_area()?
                .checked_mul(in_channels)?;
            let sizes = Sizes {
                groups,
                in_channels,
                out_channels: self.out_channels / groups,
                in_pixels,
                out_pixels,
                taps,
            };
            taps.checked_mul(out_pixels)?;
            self.out_channels
                .checked_mul(out_pixels)?
                .checked_mul(self.images)?;
            Some(sizes)
        };
        match sizes() {
            Some(sizes) => Ok(sizes),
            None => bail!("Conv2d: the output does not fit into memory; use less padding"),
        }
    }

    /// Whether the columns are the image itself.
    fn is_pointwise(&self) -> bool {
        let Geometry {
            kernel,
            stride,
            before,
            after,
            ..
        } = self.geometry;
        let (zero, one) = (Size2::from(0), Size2::from(1));
        kernel == one && stride == one && before == zero && after == zero
    }
}

/// Channels are those of one group, pixels those of one channel; taps are what one output reads.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    in_channels: usize,
    out_channels: usize,
    in_pixels: usize,
    out_pixels: usize,
    taps: usize,
}

impl Sizes {
    fn image_in(&self) -> usize {
        self.groups * self.in_channels * self.in_pixels
    }

    fn image_out(&self) -> usize {
        self.groups * self.out_channels * self.out_pixels
    }

    /// Group `g` of the weights as a matrix.
    fn weight<'a, T>(&self, weight: &'a [T], g: usize) -> Matrix<'a, T> {
        let n = self.out_channels * self.taps;
        Matrix::new(&weight[g * n..][..n], self.out_channels, self.taps)
    }
}

/// The part of an image that belongs to group `g`.
fn group<T>(image: &[T], g: usize, groups: usize) -> &[T] {
    let n = image.len() / groups;
    &image[g * n..][..n]
}

fn group_mut<T>(image: &mut [T], g: usize, groups: usize) -> &mut [T] {
    let n = image.len() / groups;
    &mut image[g * n..][..n]
}

pub(super) fn forward<T: Element>(
    problem: &Problem,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
) -> Result<Vec<T>> {
    let sizes = problem.sizes()?;
    let (image_in, image_out) = (sizes.image_in(), sizes.image_out());
    let mut output = zeros(problem.images * image_out)?;
    if output.is_empty() {
        return Ok(output);
    }
    let columns_len = match problem.is_pointwise() {
        true => 0,
        false => sizes.taps * sizes.out_pixels,
    };
    drop(zeros::<T>(columns_len)?);
    output
        .par_chunks_mut(image_out * IMAGES_A_TASK)
        .zip(input.par_chunks(image_in * IMAGES_A_TASK))
        .for_each(|(outputs, inputs)| {
            let mut columns = vec![T::ZERO; columns_len];
            let images = outputs.chunks_mut(image_out).zip(inputs.chunks(image_in));
            for (output, input) in images {
                forward_image(problem, &sizes, output, input, weight, bias, &mut columns);
            }
        });
    Ok(output)
}

fn forward_image<T: Element>(
    problem: &Problem,
    sizes: &Sizes,
    output: &mut [T],
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    columns: &mut [T],
) {
    let mode = match bias {
        Some(bias) => {
            for (channel, &bias) in output.chunks_mut(sizes.out_pixels).zip(bias) {
                channel.fill(bias);
            }
            Into::Add
        }
        None => Into::Replace,
    };
    for g in 0..sizes.groups {
        let input = group(input, g, sizes.groups);
        let columns = columns_of(problem, sizes, input, columns);
        let output = group_mut(output, g, sizes.groups);
        gemm(output, mode, sizes.weight(weight, g), columns, Threads::One);
    }
}

/// The windows of one group of one image: taps × out_pixels.
fn columns_of<'a, T: Element>(
    problem: &Problem,
    sizes: &Sizes,
    input: &'a [T],
    columns: &'a mut [T],
) -> Matrix<'a, T> {
    if problem.is_pointwise() {
        return Matrix::new(input, sizes.taps, sizes.out_pixels);
    }
    each_run(problem, sizes, |run| {
        let row = &mut columns[run.row..][..run.width];
        row[..run.left].fill(T::ZERO);
        row[run.left + run.count..].fill(T::ZERO);
        let inside = &mut row[run.left..][..run.count];
        if run.step == 1 {
            inside.copy_from_slice(&input[run.from..][..run.count]);
        } else {
            for (i, value) in inside.iter_mut().enumerate() {
                *value = input[run.from + i * run.step];
            }
        }
    });
    Matrix::new(columns, sizes.taps, sizes.out_pixels)
}

/// The way back: each window's gradient is added to the pixels that the window read.
fn add_columns<T: Element>(problem: &Problem, sizes: &Sizes, columns: &[T], grad: &mut [T]) {
    each_run(problem, sizes, |run| {
        let inside = &columns[run.row + run.left..][..run.count];
        if run.step == 1 {
            add(&mut grad[run.from..][..run.count], inside);
        } else {
            for (i, &value) in inside.iter().enumerate() {
                grad[run.from + i * run.step] += value;
            }
        }
    });
}

/// One tap along one row of outputs: what it reads lies in one row of the input, `step` apart.
struct Run {
    /// Where the row of outputs begins in the columns, and its length.
    row: usize,
    width: usize,
    /// How many outputs read padding first, and how many then read the input.
    left: usize,
    count: usize,
    /// The first pixel read.
    from: usize,
    step: usize,
}

fn each_run(problem: &Problem, sizes: &Sizes, mut visit: impl FnMut(Run)) {
    let Geometry {
        kernel,
        stride,
        dilation,
        before,
        output,
        ..
    } = problem.geometry;
    let input = problem.input;
    let mut row = 0;
    for channel in 0..sizes.in_channels {
        for ky in 0..kernel.h {
            for kx in 0..kernel.w {
                // Output x reads the pixel x·stride + shift − before.
                let shift = kx * dilation.w;
                let left = before
                    .w
                    .saturating_sub(shift)
                    .div_ceil(stride.w)
                    .min(output.w);
                let end = (input.w + before.w)
                    .saturating_sub(shift)
                    .div_ceil(stride.w)
                    .min(output.w);
                for y in 0..output.h {
                    let pixel_row = (y * stride.h + ky * dilation.h).checked_sub(before.h);
                    let run = match pixel_row.filter(|&pixel_row| pixel_row < input.h) {
                        Some(pixel_row) if end > left => Run {
                            row,
                            width: output.w,
                            left,
                            count: end - left,
                            from: channel * sizes.in_pixels
                                + pixel_row * input.w
                                + (left * stride.w + shift - before.w),
                            step: stride.w,
                        },
                        _ => Run {
                            row,
                            width: output.w,
                            left: 0,
                            count: 0,
                            from: 0,
                            step: 1,
                        },
                    };
                    visit(run);
                    row += output.w;
                }
            }
        }
    }
}

pub(super) fn backward<T: Element>(
    problem: &Problem,
    input: &[T],
    weight: &[T],
    grad: &[T],
    input_wanted: bool,
) -> Result<Gradients<T>> {
    let sizes = problem.sizes()?;
    let (image_in, image_out) = (sizes.image_in(), sizes.image_out());
    let mut grad_input = match input_wanted {
        true => zeros(input.len())?,
        false => Vec::new(),
    };
    let mut total = Partial::zeros(weight.len(), problem.out_channels);
    if !grad.is_empty() {
        // One slot for each task, empty where the gradient of the input is not wanted.
        let mut slots: Vec<&mut [T]> = match input_wanted {
            true => grad_input.chunks_mut(image_in * IMAGES_A_TASK).collect(),
            false => Vec::new(),
        };
        slots.resize_with(problem.images.div_ceil(IMAGES_A_TASK), Default::default);
        let partials: Vec<Partial<T>> = slots
            .into_par_iter()
            .zip(input.par_chunks(image_in * IMAGES_A_TASK))
            .zip(grad.par_chunks(image_out * IMAGES_A_TASK))
            .map(|((slot, inputs), grads)| {
                backward_task(problem, &sizes, slot, inputs, weight, grads)
            })
            .collect();
        for partial in &partials {
            add(&mut total.weight, &partial.weight);
            add(&mut total.bias, &partial.bias);
        }
    }
    Ok(Gradients {
        input: input_wanted.then_some(grad_input),
        weight: total.weight,
        bias: total.bias,
    })
}

struct Partial<T> {
    weight: Vec<T>,
    bias: Vec<T>,
}

impl<T: Element> Partial<T> {
    fn zeros(weight: usize, bias: usize) -> Self {
        Self {
            weight: vec![T::ZERO; weight],
            bias: vec![T::ZERO; bias],
        }
    }
}

fn backward_task<T: Element>(
    problem: &Problem,
    sizes: &Sizes,
    grad_inputs: &mut [T],
    inputs: &[T],
    weight: &[T],
    grads: &[T],
) -> Partial<T> {
    let mut partial = Partial::zeros(weight.len(), problem.out_channels);
    let mut columns = vec![T::ZERO; sizes.taps * sizes.out_pixels];
    let (image_in, image_out) = (sizes.image_in(), sizes.image_out());
    let mut grad_inputs = grad_inputs.chunks_mut(image_in);
    for (input, grad) in inputs.chunks(image_in).zip(grads.chunks(image_out)) {
        let mut grad_input = grad_inputs.next();
        for (bias, channel) in partial.bias.iter_mut().zip(grad.chunks(sizes.out_pixels)) {
            *bias += sum(channel);
        }
        for g in 0..sizes.groups {
            let grad = group(grad, g, sizes.groups);
            let grad = Matrix::new(grad, sizes.out_channels, sizes.out_pixels);
            let input = group(input, g, sizes.groups);
            let windows = columns_of(problem, sizes, input, &mut columns);
            let into = group_mut(&mut partial.weight, g, sizes.groups);
            gemm(into, Into::Add, grad, windows.t(), Threads::One);
            if let Some(grad_input) = grad_input.as_deref_mut() {
                let grad_input = group_mut(grad_input, g, sizes.groups);
                let weight = sizes.weight(weight, g).t();
                if problem.is_pointwise() {
                    gemm(grad_input, Into::Replace, weight, grad, Threads::One);
                } else {
                    gemm(&mut columns, Into::Replace, weight, grad, Threads::One);
                    add_columns(problem, sizes, &columns, grad_input);
                }
            }
        }
    }
    partial
}
