//! A layer of a captured step: sizes alone.

use crate::ops::conv2d;
use crate::size::Size2;

/// A convolution or a fully connected layer, with the pooling and the rectifier behind it. A fully connected layer is a
/// convolution of an image of one pixel, whose channels are all numbers of what comes before.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    /// Of its input; 1 × 1 where it is fully connected.
    pub(crate) input: Size2,
    pub(crate) geometry: conv2d::Geometry,
    pub(crate) linear: bool,
    /// Of 2 × 2.
    pub(crate) pool: bool,
    pub(crate) relu: bool,
    pub(crate) bias: bool,
}

impl Layer {
    pub(crate) fn linear(inputs: usize, outputs: usize, bias: bool) -> Self {
        let one = Size2::from(1);
        let nothing = Size2::from(0);
        Self {
            in_channels: inputs,
            out_channels: outputs,
            input: one,
            geometry: conv2d::Geometry {
                groups: 1,
                kernel: one,
                stride: one,
                dilation: one,
                before: nothing,
                after: nothing,
                output: one,
            },
            linear: true,
            pool: false,
            relu: false,
            bias,
        }
    }

    /// Rows and columns of what it gives.
    pub(crate) fn output(&self) -> Size2 {
        let Size2 { h, w } = self.geometry.output;
        match self.pool {
            true => Size2 { h: h / 2, w: w / 2 },
            false => Size2 { h, w },
        }
    }

    /// Numbers of what it gives for an image.
    pub(crate) fn outputs(&self) -> usize {
        self.out_channels * self.output().h * self.output().w
    }

    /// The rows and columns of a convolution's output that count.
    pub(super) fn pixels(&self) -> Size2 {
        let Size2 { h, w } = self.output();
        match self.pool {
            true => Size2 { h: 2 * h, w: 2 * w },
            false => Size2 { h, w },
        }
    }

    /// The numbers of a filter.
    pub(super) fn depth(&self) -> usize {
        self.in_channels * self.geometry.kernel.h * self.geometry.kernel.w
    }

    /// How far a filter reaches beyond its first pixel.
    pub(super) fn reach(&self) -> Size2 {
        let conv2d::Geometry {
            kernel, dilation, ..
        } = self.geometry;
        Size2 {
            h: (kernel.h - 1) * dilation.h,
            w: (kernel.w - 1) * dilation.w,
        }
    }

    /// Whether the kernels take it.
    pub(crate) fn fits(&self) -> bool {
        let conv2d::Geometry {
            groups,
            before,
            after,
            ..
        } = self.geometry;
        let reach = self.reach();
        // More zeros than that, and a filter would lie in them alone.
        let within = |size: Size2| size.h <= reach.h && size.w <= reach.w;
        groups == 1 && within(before) && within(after) && self.outputs() > 0
    }

    /// Where each number of a filter is, among images whose channels and rows lie so far apart.
    pub(super) fn taps(&self, channels: usize, channel: usize, row: usize) -> Vec<i32> {
        let conv2d::Geometry {
            kernel, dilation, ..
        } = self.geometry;
        let mut taps = Vec::with_capacity(self.depth());
        for c in 0..channels {
            for r in 0..kernel.h {
                let start = c * channel + r * dilation.h * row;
                taps.extend((0..kernel.w).map(|s| (start + s * dilation.w) as i32));
            }
        }
        taps
    }
}
