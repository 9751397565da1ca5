//! Numbers that begin at a line of the cache, so that vectors at multiples of their length straddle none.

use std::ops::{Deref, DerefMut};

/// Bytes of a line.
const LINE: usize = 64;
/// Numbers of a line but one.
const BESIDE: usize = LINE / size_of::<f32>() - 1;

/// f32 from a line of the cache on.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    values: Vec<f32>,
    skip: usize,
    n: usize,
}

impl Aligned {
    pub(super) fn zeros(n: usize) -> Self {
        let values = vec![0.0; n + BESIDE];
        let skip = values.as_ptr().align_offset(LINE).min(BESIDE);
        Self { values, skip, n }
    }

    /// At least `n` numbers; where there were fewer, all are 0 now.
    pub(super) fn at_least(&mut self, n: usize) -> &mut [f32] {
        if self.n < n {
            *self = Self::zeros(n);
        }
        self
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.skip..][..self.n]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.skip..][..self.n]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_a_line_and_grows() {
        let mut values = Aligned::default();
        assert!(values.is_empty());
        for n in [1, 7, 100, 3] {
            values.at_least(n)[0] = n as f32;
            assert!(values.len() >= n && values.as_ptr().addr().is_multiple_of(LINE));
        }
        assert_eq!((values.len(), values[0]), (100, 3.0));
    }
}
