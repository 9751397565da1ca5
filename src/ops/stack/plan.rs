//! A stack for one size of image: all that does not depend on the images and weights.

use crate::ops::conv2d::{Geometry, Problem};
use crate::ops::direct::Columns;
use crate::ops::simd::Level;
use crate::ops::sparse::Windows;
use crate::size::Size2;

/// How many images a task takes at most, and how many numbers of input.
const MOST_IMAGES: usize = 4;
const NEAR: usize = 8 << 10;

/// A convolution of stride 1 with padding of zeros and a bias, then a max pooling of 2×2 or none, then a ReLU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Block {
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) geometry: Geometry,
    pub(crate) input: Size2,
    pub(crate) pool: bool,
}

impl Block {
    pub(super) fn weights(&self) -> usize {
        let kernel = self.geometry.kernel;
        self.out_channels * self.in_channels * kernel.h * kernel.w
    }

    /// Weights and biases.
    pub(super) fn parameters(&self) -> usize {
        self.weights() + self.out_channels
    }

    /// Rows and columns of the input with its padding.
    pub(super) fn padded(&self) -> Size2 {
        let Geometry { before, after, .. } = self.geometry;
        Size2 {
            h: self.input.h + before.h + after.h,
            w: self.input.w + before.w + after.w,
        }
    }

    /// Rows and columns of what leaves the block.
    pub(crate) fn output(&self) -> Size2 {
        let Size2 { h, w } = self.geometry.output;
        match self.pool {
            true => Size2 { h: h / 2, w: w / 2 },
            false => Size2 { h, w },
        }
    }

    pub(super) fn in_numbers(&self) -> usize {
        self.in_channels * self.input.h * self.input.w
    }

    pub(crate) fn out_numbers(&self) -> usize {
        let Size2 { h, w } = self.output();
        self.out_channels * h * w
    }
}

pub(super) struct Plan {
    pub(super) level: Level,
    pub(super) blocks: Vec<Planned>,
    /// How many images a task takes.
    pub(super) images: usize,
}

pub(super) struct Planned {
    pub(super) block: Block,
    pub(super) columns: Columns,
    pub(super) windows: Windows,
}

impl Plan {
    pub(super) fn new(blocks: &[Block], level: Level) -> Self {
        let planned = |&block: &Block| {
            let problem = Problem {
                geometry: block.geometry,
                images: 1,
                in_channels: block.in_channels,
                out_channels: block.out_channels,
                input: block.input,
            };
            let Geometry {
                kernel, dilation, ..
            } = block.geometry;
            let width = block.padded().w;
            Planned {
                block,
                columns: Columns::new(&problem, level),
                windows: Windows::new(level, block.in_channels, kernel, dilation, width),
            }
        };
        let numbers = |block: &Block| {
            let Size2 { h, w } = block.padded();
            block.in_channels * h * w
        };
        let most = blocks.iter().map(numbers).max().unwrap_or(1);
        Self {
            level,
            blocks: blocks.iter().map(planned).collect(),
            images: (NEAR / most).clamp(1, MOST_IMAGES),
        }
    }

    pub(super) fn is_for(&self, blocks: &[Block]) -> bool {
        self.blocks.iter().map(|planned| &planned.block).eq(blocks)
    }

    /// How the images fall into tasks, none of which crosses the batch's middle: PyTorch sums in halves. Each
    /// half ends in small ones, so that no thread waits long for another's last.
    pub(super) fn tasks(&self, images: usize) -> Vec<usize> {
        let middle = images.div_ceil(2);
        let mut tasks = Vec::new();
        for mut left in [middle, images - middle] {
            while left > 0 {
                let images = self.images.min(left.div_ceil(2));
                tasks.push(images);
                left -= images;
            }
        }
        tasks
    }
}
