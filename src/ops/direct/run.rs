//! The batch: which images a task takes.

use std::borrow::Cow;

use candle_core::Result;
use rayon::prelude::*;

use super::columns::Columns;
use super::layout::Layout;
use super::sums::{Sums, pack, sums};
use super::weight_gradient::{Images, weight_gradient};
use crate::ops::aligned::Aligned;
use crate::ops::buffer::zeros;
use crate::ops::conv2d::{Gradients, Problem};
use crate::ops::simd::Level;

/// How many images one task takes.
const IMAGES_A_TASK: usize = 4;

pub(in crate::ops) fn forward(
    problem: &Problem,
    level: Level,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Result<Vec<f32>> {
    let columns = Columns::new(problem, level);
    let groups = problem.geometry.groups;
    let out_channels = problem.out_channels / groups;
    let packed: Vec<Vec<f32>> = weight
        .chunks(weight.len() / groups)
        .map(|weight| columns.pack(weight))
        .collect();
    let start = match bias {
        Some(bias) => bias.to_vec(),
        None => vec![0.0; problem.out_channels],
    };
    let (image_in, image_out) = problem.image_sizes();
    let mut output = zeros(problem.images * image_out)?;
    output
        .par_chunks_mut(image_out * IMAGES_A_TASK)
        .zip(input.par_chunks(image_in * IMAGES_A_TASK))
        .for_each(|(outputs, inputs)| {
            let mut scratch = Aligned::zeros(columns.scratch());
            let inputs = inputs.chunks(image_in / groups);
            let outputs = outputs.chunks_mut(image_out / groups);
            for (i, (input, output)) in inputs.zip(outputs).enumerate() {
                let g = i % groups;
                let start = &start[g * out_channels..][..out_channels];
                let found = columns.convolve(input, &packed[g], start, &mut scratch);
                let planes = output.chunks_mut(image_out / problem.out_channels);
                for (plane, found) in planes.zip(found.chunks(columns.out_pixels())) {
                    plane.copy_from_slice(&found[..plane.len()]);
                }
            }
        });
    Ok(output)
}

pub(in crate::ops) fn backward(
    problem: &Problem,
    level: Level,
    input: &[f32],
    weight: &[f32],
    grad: &[f32],
    input_wanted: bool,
) -> Result<Gradients<f32>> {
    let layout = Layout::new(problem, level);
    let (image_in, image_out) = problem.image_sizes();
    let of_input = || -> Result<Option<Vec<f32>>> {
        if !input_wanted {
            return Ok(None);
        }
        let weight = pack_back(&layout, level, weight);
        let mut grad_input = zeros(input.len())?;
        grad_input
            .par_chunks_mut(image_in * IMAGES_A_TASK)
            .zip(grad.par_chunks(image_out * IMAGES_A_TASK))
            .for_each(|(to, grads)| input_gradient(&layout, level, &weight, grads, to));
        Ok(Some(grad_input))
    };
    let of_weight = || -> Result<(Vec<f32>, Vec<f32>)> {
        let padded = match layout.padded == problem.input {
            true => Cow::Borrowed(input),
            false => Cow::Owned(pad(&layout, input, image_in)?),
        };
        let images = Images {
            image: problem.in_channels * layout.padded_plane(),
            values: &padded,
        };
        Ok(weight_gradient(problem, &layout, level, &images, grad))
    };
    // Together, so that the threads wait for each other once.
    let (grad_input, others) = rayon::join(of_input, of_weight);
    let (weight, bias) = others?;
    Ok(Gradients {
        input: grad_input?,
        weight,
        bias,
    })
}

/// The batch with its padding, all groups.
fn pad(layout: &Layout, input: &[f32], image_in: usize) -> Result<Vec<f32>> {
    let images = input.len() / image_in;
    let group = layout.in_channels * layout.padded_plane();
    let mut padded = zeros(images * layout.groups * group)?;
    padded
        .par_chunks_mut(group)
        .zip(input.par_chunks(image_in / layout.groups))
        .for_each(|(to, image)| layout.pad(image, to));
    Ok(padded)
}

/// The gradient of some images.
fn input_gradient(
    layout: &Layout,
    level: Level,
    weight: &[Vec<f32>],
    grads: &[f32],
    to: &mut [f32],
) {
    let mut spread = Aligned::zeros(layout.grad_image());
    let mut rows = vec![0.0; layout.in_channels * layout.back_pixels()];
    let start = vec![0.0; layout.in_channels];
    let group_in = layout.in_channels * layout.input.h * layout.input.w;
    let group_out = layout.out_channels * layout.output.h * layout.output.w;
    let parts = to.chunks_mut(group_in).zip(grads.chunks(group_out));
    for (i, (to, grad)) in parts.enumerate() {
        layout.spread(grad, &mut spread);
        let job = Sums {
            from: &spread,
            offsets: &layout.back_order.offsets,
            block: layout.back_order.block,
            start: &start,
            weight: &weight[i % layout.groups],
            channels: layout.in_channels,
            pixels: layout.back_pixels(),
            to_stride: layout.back_pixels(),
        };
        sums(level, &job, &mut rows);
        layout.crop(&rows, to);
    }
}

/// Input channel c takes from output channel o through tap (i, j) what o took from c.
fn pack_back(layout: &Layout, level: Level, weight: &[f32]) -> Vec<Vec<f32>> {
    let (inputs, outputs, taps) = (layout.in_channels, layout.out_channels, layout.taps);
    let window = taps / inputs;
    (0..layout.groups)
        .map(|g| {
            let weight = &weight[g * outputs * taps..];
            pack(level, inputs, outputs * window, |c, k| {
                let tap = layout.back_order.taps[k];
                weight[tap / window * taps + c * window + tap % window]
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv2d::Geometry;
    use crate::ops::im2col;
    use crate::size::Size2;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        crate::random::Generator::new(seed).uniform(n, -1.0, 1.0)
    }

    fn close(what: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let allowed = 1e-4 * expected.abs().max(1.0);
            assert!(
                (found - expected).abs() < allowed,
                "{what}: {found}, expected {expected}"
            );
        }
    }

    /// Every vector width against the other way of convolving.
    #[test]
    fn each_level_agrees_with_im2col() {
        for level in Level::all() {
            for (channels, kernel, dilation, groups) in [
                ((1, 10), (5, 5), (1, 1), 1),
                ((32, 64), (3, 3), (1, 1), 1),
                ((6, 9), (2, 4), (2, 1), 3),
                ((7, 3), (1, 1), (1, 1), 1),
                ((3, 17), (3, 2), (1, 1), 1),
                ((2, 20), (4, 3), (1, 3), 1),
                ((1, 8), (3, 7), (2, 1), 1),
            ] {
                let (kernel, dilation) = (Size2::from(kernel), Size2::from(dilation));
                let (before, after) = (Size2::from((1, 0)), Size2::from((2, 1)));
                let (height, width) = (11, 13);
                let output = Size2 {
                    h: height + 3 - dilation.h * (kernel.h - 1),
                    w: width + 1 - dilation.w * (kernel.w - 1),
                };
                let problem = Problem {
                    geometry: Geometry {
                        groups,
                        kernel,
                        stride: Size2::from(1),
                        dilation,
                        before,
                        after,
                        output,
                    },
                    images: 6,
                    in_channels: channels.0,
                    out_channels: channels.1,
                    input: Size2 {
                        h: height,
                        w: width,
                    },
                };
                let (image_in, image_out) = problem.image_sizes();
                let input = numbers(6 * image_in, 1);
                let weight = numbers(channels.0 / groups * channels.1 * kernel.h * kernel.w, 2);
                let bias = numbers(channels.1, 3);
                let grad = numbers(6 * image_out, 4);
                let found = forward(&problem, level, &input, &weight, Some(&bias)).unwrap();
                let expected = im2col::forward(&problem, &input, &weight, Some(&bias)).unwrap();
                close("output", &found, &expected);
                let found = backward(&problem, level, &input, &weight, &grad, true).unwrap();
                let expected = im2col::backward(&problem, &input, &weight, &grad, true).unwrap();
                close("input", &found.input.unwrap(), &expected.input.unwrap());
                close("weight", &found.weight, &expected.weight);
                close("bias", &found.bias, &expected.bias);
            }
        }
    }
}
