//! The Mersenne Twister MT19937, laid out as PyTorch's, so that its state is PyTorch's to the byte. (No
//! crate of it takes both a seed and a state.)

pub(super) const N: usize = 624;
const M: usize = 397;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Twister {
    pub(super) words: [u32; N],
    /// The next draw takes new words when this reaches 0.
    pub(super) left: usize,
    /// The word that the next draw takes.
    pub(super) next: usize,
}

impl Twister {
    pub(super) fn new(seed: u32) -> Self {
        let mut words = [seed; N];
        let mut last = seed;
        for (i, word) in (0..).zip(&mut words).skip(1) {
            last = (last ^ last >> 30).wrapping_mul(1_812_433_253);
            last = last.wrapping_add(i);
            *word = last;
        }
        Self {
            words,
            left: 1,
            next: 0,
        }
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn twist(&mut self) {
        let words = &mut self.words;
        for i in 0..N {
            let mixed = words[i] & 0x8000_0000 | words[(i + 1) % N] & 0x7fff_ffff;
            let odd = (mixed & 1).wrapping_neg() & 0x9908_b0df;
            words[i] = words[(i + M) % N] ^ mixed >> 1 ^ odd;
        }
        (self.left, self.next) = (N, 0);
    }
}

impl std::fmt::Debug for Twister {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Twister({} of {N} words used)", self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_is_the_standards() {
        // As the C++ standard requires of std::mt19937.
        let mut twister = Twister::new(5489);
        let last = (0..10_000).map(|_| twister.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
