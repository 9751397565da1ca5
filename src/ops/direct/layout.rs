//! Where things lie: padded images and outputs' gradients as long rows.

use crate::ops::conv2d::Problem;
use crate::ops::simd::Level;
use crate::size::Size2;

/// Sizes of one group; a plane is one channel of one image.
pub(super) struct Layout {
    pub(super) groups: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) taps: usize,
    pub(super) input: Size2,
    pub(super) before: Size2,
    pub(super) output: Size2,
    /// Rows and columns with the padding.
    pub(super) padded: Size2,
    pub(super) lanes: usize,
    /// The (o, i, j), and where padded input pixel 0 reads in the outputs' gradients, in the order in
    /// which they are summed.
    pub(super) back_order: Order,
    /// Where each row of the kernel, channel after channel, reads for output pixel 0; where the kernel is
    /// dilated, each tap, and `columns` is 1.
    pub(super) rows: Vec<usize>,
    pub(super) columns: usize,
    /// Zeros before each plane of the outputs' gradients: as many as the taps reach back, and so
    /// that each plane begins a vector.
    pub(super) lead: usize,
}

/// Channels in blocks of 16; of a block, position after position of the kernel; at each, channel after
/// channel.
#[derive(Default)]
pub(super) struct Order {
    /// The taps by their places in (channel, row, column).
    pub(super) taps: Vec<usize>,
    pub(super) offsets: Vec<usize>,
    /// How many taps a block has.
    pub(super) block: usize,
}

impl Order {
    const CHANNELS: usize = 16;

    pub(super) fn new(channels: usize, window: usize, offset: impl Fn(usize) -> usize) -> Self {
        let mut taps = Vec::with_capacity(channels * window);
        for first in (0..channels).step_by(Self::CHANNELS) {
            let last = channels.min(first + Self::CHANNELS);
            for position in 0..window {
                taps.extend((first..last).map(|channel| channel * window + position));
            }
        }
        Self {
            offsets: taps.iter().map(|&tap| offset(tap)).collect(),
            taps,
            block: Self::CHANNELS * window,
        }
    }
}

impl Layout {
    pub(super) fn new(problem: &Problem, level: Level) -> Self {
        let geometry = &problem.geometry;
        let (kernel, dilation) = (geometry.kernel, geometry.dilation);
        let in_channels = problem.in_channels / geometry.groups;
        let out_channels = problem.out_channels / geometry.groups;
        let padded = Size2 {
            h: problem.input.h + geometry.before.h + geometry.after.h,
            w: problem.input.w + geometry.before.w + geometry.after.w,
        };
        let mut layout = Self {
            groups: geometry.groups,
            in_channels,
            out_channels,
            taps: in_channels * kernel.h * kernel.w,
            input: problem.input,
            before: geometry.before,
            output: geometry.output,
            padded,
            lanes: level.lanes(),
            back_order: Order::default(),
            rows: Vec::new(),
            columns: if dilation.w == 1 { kernel.w } else { 1 },
            lead: ((kernel.h - 1) * dilation.h * padded.w + (kernel.w - 1) * dilation.w)
                .next_multiple_of(level.lanes()),
        };
        let shifts: Vec<usize> = (0..kernel.h)
            .flat_map(|i| (0..kernel.w).map(move |j| i * dilation.h * padded.w + j * dilation.w))
            .collect();
        let plane = layout.padded_plane();
        let offset = |tap| tap / shifts.len() * plane + shifts[tap % shifts.len()];
        layout.rows = (0..layout.taps)
            .step_by(layout.columns)
            .map(offset)
            .collect();
        layout.back_order = Order::new(out_channels, shifts.len(), |tap| {
            let (o, shift) = (tap / shifts.len(), shifts[tap % shifts.len()]);
            o * layout.grad_plane() + layout.lead - shift
        });
        layout
    }

    pub(super) fn padded_plane(&self) -> usize {
        self.padded.h * self.padded.w
    }

    /// Outputs of one plane from the first to the last, in rows as long as the padded image's.
    pub(super) fn out_pixels(&self) -> usize {
        let last = (self.output.h - 1) * self.padded.w + self.output.w;
        last.next_multiple_of(self.lanes)
    }

    /// Pixels of one padded plane, as vectors.
    pub(super) fn back_pixels(&self) -> usize {
        self.padded_plane().next_multiple_of(self.lanes)
    }

    pub(super) fn grad_plane(&self) -> usize {
        self.lead + self.back_pixels().max(self.out_pixels())
    }

    pub(super) fn grad_image(&self) -> usize {
        self.out_channels * self.grad_plane()
    }

    /// One group of an image into its padded place, whose border is 0 already.
    pub(super) fn pad(&self, image: &[f32], to: &mut [f32]) {
        let rows = image.chunks(self.input.w);
        let planes = to.chunks_mut(self.padded_plane()).take(self.in_channels);
        let places = planes.flat_map(|plane| {
            let rows = plane.chunks_mut(self.padded.w);
            rows.skip(self.before.h).take(self.input.h)
        });
        for (row, place) in rows.zip(places) {
            place[self.before.w..][..self.input.w].copy_from_slice(row);
        }
    }

    /// One group of the outputs' gradients into long rows, which are 0 elsewhere already.
    pub(super) fn spread(&self, grad: &[f32], to: &mut [f32]) {
        let planes = to.chunks_mut(self.grad_plane());
        let places = planes.flat_map(|plane| {
            let rows = plane[self.lead..].chunks_mut(self.padded.w);
            rows.take(self.output.h)
        });
        for (row, place) in grad.chunks(self.output.w).zip(places) {
            place[..self.output.w].copy_from_slice(row);
        }
    }

    /// The gradient of the padded image without its border.
    pub(super) fn crop(&self, sums: &[f32], to: &mut [f32]) {
        let planes = to.chunks_mut(self.input.h * self.input.w);
        for (plane, sums) in planes.zip(sums.chunks(self.back_pixels())) {
            let rows = plane.chunks_mut(self.input.w);
            let sums = sums.chunks(self.padded.w).skip(self.before.h);
            for (row, sums) in rows.zip(sums) {
                row.copy_from_slice(&sums[self.before.w..][..self.input.w]);
            }
        }
    }
}
