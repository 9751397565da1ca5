//! The gradient of the weights: for each output's gradient, its window of the input, weighted with it.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use crate::ops::simd::{Kernel, Level, Quarter, Simd};
use crate::size::Size2;

/// From how many channels on each pixel begins a vector: then no vector straddles two lines of the cache.
const ALIGNED: usize = 8;

/// The windows of a convolution on images whose pixels hold their channels side by side.
///
/// A window is cut into segments of a vector each, from which all of a row of the kernel is taken at once:
/// its columns lie side by side. So a segment may hold more than belongs to the window; that is dropped.
pub(in crate::ops) struct Windows {
    level: Level,
    channels: usize,
    /// How far the next pixel is.
    pixel: usize,
    lanes: usize,
    kernel: Size2,
    /// Where each segment begins.
    offsets: Vec<usize>,
    /// Where the weights (in, rows, columns) are found in the segments.
    places: Vec<usize>,
}

impl Windows {
    /// `width`: pixels of a row.
    pub(in crate::ops) fn new(
        level: Level,
        channels: usize,
        kernel: Size2,
        dilation: Size2,
        width: usize,
    ) -> Self {
        let pixel = match channels >= ALIGNED {
            true => channels.next_multiple_of(level.lanes()),
            false => channels,
        };
        // Columns that lie side by side, or each by itself.
        let (pieces, length) = match dilation.w {
            1 => (1, kernel.w * pixel),
            _ => (kernel.w, pixel),
        };
        let lanes = level.lanes_for(length);
        let vectors = length.div_ceil(lanes);
        let mut offsets = Vec::with_capacity(kernel.h * pieces * vectors);
        for i in 0..kernel.h {
            for piece in 0..pieces {
                let start = (i * dilation.h * width + piece * dilation.w) * pixel;
                offsets.extend((0..vectors).map(|v| start + v * lanes));
            }
        }
        let mut places = Vec::with_capacity(channels * kernel.h * kernel.w);
        for c in 0..channels {
            for i in 0..kernel.h {
                for j in 0..kernel.w {
                    let (piece, column) = if pieces == 1 { (0, j) } else { (j, 0) };
                    let segments = (i * pieces + piece) * vectors;
                    places.push(segments * lanes + column * pixel + c);
                }
            }
        }
        Self {
            level,
            channels,
            pixel,
            lanes,
            kernel,
            offsets,
            places,
        }
    }

    /// How far the next pixel of an image is.
    pub(in crate::ops) fn pixel(&self) -> usize {
        self.pixel
    }

    /// How many numbers the sums of one output channel take: the segments, and one vector for the bias.
    pub(in crate::ops) fn sums(&self) -> usize {
        (self.offsets.len() + 1) * self.lanes
    }

    /// How many numbers there must be after the images.
    pub(in crate::ops) fn beyond(&self) -> usize {
        self.lanes
    }

    /// Adds gradients of one output channel to its `sums`, one after another; `at` are the places of their
    /// windows' first pixels.
    pub(in crate::ops) fn add(&self, values: &[f32], at: &[u32], from: &[f32], sums: &mut [f32]) {
        let Some(&last) = at.iter().max() else {
            return;
        };
        let entries = Entries {
            values: &values[..at.len()],
            at,
        };
        let reach = self
            .offsets
            .iter()
            .max()
            .map_or(0, |last| last + self.lanes);
        assert!(last as usize * self.pixel + reach <= from.len());
        assert!(sums.len() >= self.sums());
        let (from, to) = (from.as_ptr(), sums.as_mut_ptr());
        // SAFETY: the level was detected on this processor; the assertions hold that all that is read
        // and written lies within the slices.
        unsafe {
            self.level.run(Add {
                windows: self,
                entries: &entries,
                from,
                to,
            })
        }
    }

    /// The weights' sums (in, rows, columns) out of the segments.
    pub(in crate::ops) fn weights<'a>(&'a self, sums: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.places.iter().map(|&place| sums[place])
    }

    /// The bias's sum.
    pub(in crate::ops) fn bias(&self, sums: &[f32]) -> f32 {
        sums[self.offsets.len() * self.lanes]
    }

    /// The same, and begins it anew.
    pub(in crate::ops) fn take_bias(&self, sums: &mut [f32]) -> f32 {
        let bias = self.bias(sums);
        sums[self.offsets.len() * self.lanes..].fill(0.0);
        bias
    }

    /// How many weights one output channel has.
    pub(in crate::ops) fn taps(&self) -> usize {
        self.channels * self.kernel.h * self.kernel.w
    }
}

struct Entries<'a> {
    values: &'a [f32],
    at: &'a [u32],
}

struct Add<'a> {
    windows: &'a Windows,
    entries: &'a Entries<'a>,
    from: *const f32,
    to: *mut f32,
}

impl Kernel for Add<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // What else a step needs takes four registers.
        let most = S::REGISTERS - 4;
        // SAFETY: the caller's conditions.
        unsafe {
            match self.windows.lanes {
                lanes if lanes == S::LANES => self.all::<S>(most),
                lanes if lanes == S::Half::LANES => self.all::<S::Half>(most),
                _ => self.all::<Quarter<S>>(most),
            }
        }
    }
}

impl Add<'_> {
    /// At most `most` segments at once, so that their sums stay in registers.
    #[inline(always)]
    unsafe fn all<S: Simd>(&self, most: usize) {
        let Self {
            windows,
            entries,
            from,
            to,
        } = *self;
        let segments = windows.offsets.len();
        let bias = segments * S::LANES;
        // SAFETY: the caller's conditions.
        unsafe {
            let mut sum = S::load(to.add(bias));
            for &value in entries.values {
                sum = S::add(sum, S::splat(value));
            }
            S::store(sum, to.add(bias));
            let passes = segments.div_ceil(most).max(1);
            for pass in 0..passes {
                let (start, end) = (pass * segments / passes, (pass + 1) * segments / passes);
                let offsets = &windows.offsets[start..end];
                let to = to.add(start * S::LANES);
                let job = (windows.pixel, offsets, entries);
                macro_rules! of {
                    ($($n:literal)*) => {
                        match offsets.len() {
                            $($n if $n <= most => tile::<S, $n>(job, from, to),)*
                            _ => {}
                        }
                    };
                }
                of!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28);
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const N: usize>(
    (pixel, offsets, entries): (usize, &[usize], &Entries<'_>),
    from: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's conditions.
    unsafe {
        let mut sums = [S::zero(); N];
        let mut starts = [from; N];
        for n in 0..N {
            sums[n] = S::load(to.add(n * S::LANES));
            starts[n] = from.add(offsets[n]);
        }
        for (&value, &at) in entries.values.iter().zip(entries.at) {
            let value = S::splat(value);
            let at = at as usize * pixel;
            for n in 0..N {
                sums[n] = S::mul_add(value, S::load(starts[n].add(at)), sums[n]);
            }
        }
        for n in 0..N {
            S::store(sums[n], to.add(n * S::LANES));
        }
    }
}
