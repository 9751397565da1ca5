//! The way back of one convolution alone, where most of what flows back is zero.

use candle_core::Result;

use super::backward::Backward;
use super::chunk::Chunk;
use super::plan::{Block, Plan};
use crate::ops::conv2d::{Gradients, Problem};
use crate::ops::simd::Level;

/// How many images are looked at to tell.
const SAMPLE: usize = 8;

/// Whether most of the outputs' gradients are zero, by some of the images. Either way back gives the same
/// numbers to the last bit; this one takes less time for up to a third of them.
pub(in crate::ops) fn is_sparse(problem: &Problem, grad: &[f32]) -> bool {
    let (_, image) = problem.image_sizes();
    if problem.geometry.groups != 1 || grad.is_empty() || image == 0 {
        return false;
    }
    let step = (problem.images / SAMPLE).max(1);
    let images = grad.chunks(image).step_by(step);
    let (mut there, mut all) = (0, 0);
    for image in images {
        there += image.iter().filter(|&&grad| grad != 0.0).count();
        all += image.len();
    }
    3 * there <= all
}

/// For a problem of stride 1 and one group.
pub(in crate::ops) fn backward(
    problem: &Problem,
    level: Level,
    input: &[f32],
    weight: &[f32],
    grad: &[f32],
    input_wanted: bool,
) -> Result<Gradients<f32>> {
    let block = Block {
        in_channels: problem.in_channels,
        out_channels: problem.out_channels,
        geometry: problem.geometry,
        input: problem.input,
        pool: false,
    };
    let plan = Plan::new(&[block], level);
    let mut chunks: Vec<Chunk> = plan
        .tasks(problem.images)
        .into_iter()
        .map(Chunk::new)
        .collect();
    let backward = Backward {
        plan: &plan,
        weights: vec![weight],
        images: input,
        output: None,
        grad,
        images_wanted: input_wanted,
    };
    let (input, mut weight) = backward.run(&mut chunks)?;
    let bias = weight.split_off(block.weights());
    Ok(Gradients {
        input,
        weight,
        bias,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv2d::Geometry;
    use crate::ops::direct;
    use crate::size::Size2;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        crate::random::Generator::new(seed).uniform(n, -1.0, 1.0)
    }

    /// Channels in and out, kernel, dilation, padding.
    type Sizes = ((usize, usize), (usize, usize), (usize, usize), usize);

    const SIZES: [Sizes; 8] = [
        ((1, 10), (5, 5), (1, 1), 0),
        ((10, 20), (5, 5), (1, 1), 0),
        ((32, 64), (3, 3), (1, 1), 1),
        ((70, 9), (2, 4), (2, 1), 0),
        ((7, 3), (1, 1), (1, 1), 0),
        ((9, 17), (3, 2), (1, 3), 2),
        ((2, 20), (4, 3), (1, 3), 1),
        ((130, 33), (3, 3), (1, 1), 1),
    ];

    #[test]
    fn each_level_agrees_with_the_way_back_of_all_to_the_last_bit() {
        for level in Level::all() {
            for (i, ((channels, out_channels), kernel, dilation, padding)) in (0..).zip(SIZES) {
                let (kernel, dilation) = (Size2::from(kernel), Size2::from(dilation));
                let (input, around) = (Size2::from((15, 18)), Size2::from(padding));
                let output = Size2 {
                    h: input.h + 2 * padding - dilation.h * (kernel.h - 1),
                    w: input.w + 2 * padding - dilation.w * (kernel.w - 1),
                };
                let problem = Problem {
                    geometry: Geometry {
                        groups: 1,
                        kernel,
                        stride: Size2::from(1),
                        dilation,
                        before: around,
                        after: around,
                        output,
                    },
                    images: 7,
                    in_channels: channels,
                    out_channels,
                    input,
                };
                let (image_in, image_out) = problem.image_sizes();
                let x = numbers(7 * image_in, i);
                let weight = numbers(out_channels * channels * kernel.h * kernel.w, i + 100);
                let mut grad = numbers(7 * image_out, i + 200);
                for (grad, keep) in grad.iter_mut().zip(numbers(7 * image_out, i + 300)) {
                    *grad = if keep < -0.5 { *grad } else { 0.0 };
                }
                assert!(is_sparse(&problem, &grad));
                for wanted in [true, false] {
                    let found = backward(&problem, level, &x, &weight, &grad, wanted).unwrap();
                    let all = direct::backward(&problem, level, &x, &weight, &grad, wanted);
                    let all = all.unwrap();
                    let name = format!("{level:?} {i}");
                    assert!(found.input == all.input, "{name}: input");
                    assert!(found.weight == all.weight, "{name}: weight");
                    assert!(found.bias == all.bias, "{name}: bias");
                }
            }
        }
    }
}
