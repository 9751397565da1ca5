//! A generator's state as bytes: those of PyTorch's CPU generator.

use super::twister::{N, Twister};
use super::{Generator, with_global};
use crate::Result;
use crate::error::invalid;

/// As PyTorch lays it out: seed, left, seeded, next, the words as 8 bytes each, three numbers of which
/// the second is the waiting normal one, whether it is there, and a single-precision one that PyTorch
/// no longer uses.
const BYTES: usize = 24 + 8 * N + 24 + 8 + 8;

impl Generator {
    /// Where the generator stands. Equivalent of `torch.Generator.get_state`: the same 5056 bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let mut generator = Generator::new(0);
    /// let state = generator.get_state();
    /// let first = generator.rand(3);
    /// generator.set_state(&state)?;
    /// assert_eq!(generator.rand(3), first);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_state(&self) -> Vec<u8> {
        let Twister { words, left, next } = &self.twister;
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend((*left as u32).to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend((*next as u64).to_le_bytes());
        bytes.extend(words.iter().flat_map(|&word| u64::from(word).to_le_bytes()));
        for number in [0.0, self.next_normal.unwrap_or(0.0), 0.0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(u64::from(self.next_normal.is_some()).to_le_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    /// Goes where [`get_state`](Self::get_state) was called, here or in PyTorch. Equivalent of
    /// `torch.Generator.set_state`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where the bytes are no state of a
    /// generator on the CPU. Then nothing has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// let error = Generator::new(0).set_state(&[1, 2, 3]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "Generator: state=3 bytes is not a generator's state; take what get_state returned"
    /// );
    /// ```
    pub fn set_state(&mut self, state: &[u8]) -> Result<()> {
        let Some(generator) = parse(state) else {
            let problem = "is not a generator's state; take what get_state returned";
            return invalid(
                "Generator",
                "state",
                format!("{} bytes", state.len()),
                problem,
            );
        };
        *self = generator;
        Ok(())
    }
}

fn parse(state: &[u8]) -> Option<Generator> {
    let words_of_8: Vec<u64> = state
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect();
    let (&[seed, left_seeded, next], rest) = words_of_8.split_first_chunk()?;
    let (&words, rest) = rest.split_first_chunk::<N>()?;
    let [_, normal, _, waits, single] = *<&[u64; 5]>::try_from(rest).ok()?;
    let (left, seeded) = (left_seeded as u32 as usize, left_seeded >> 32);
    // All words are 32 bits wide, and no draw may lead beyond them.
    let words_fit = words.iter().all(|&word| u32::try_from(word).is_ok());
    let within = (1..=N).contains(&left) && next <= (N + 1 - left) as u64;
    // A flag is followed by padding.
    let (waits, single) = (waits as u32, (single >> 32) as u8);
    if state.len() != BYTES || !words_fit || !within || seeded != 1 || waits > 1 || single != 0 {
        return None;
    }
    Some(Generator {
        twister: Twister {
            words: words.map(|word| word as u32),
            left,
            next: next as usize,
        },
        seed,
        next_normal: (waits == 1).then_some(f64::from_bits(normal)),
    })
}

/// Where the global generator stands. Equivalent of `torch.get_rng_state`: the same bytes.
///
/// # Example
///
/// ```
/// use candlelight::random::{get_rng_state, rand, set_rng_state};
///
/// # fn main() -> candlelight::Result<()> {
/// let state = get_rng_state();
/// let first = rand(3);
/// set_rng_state(&state)?;
/// assert_eq!(rand(3), first);
/// # Ok(())
/// # }
/// ```
pub fn get_rng_state() -> Vec<u8> {
    with_global(|generator| generator.get_state())
}

/// Brings the global generator where [`get_rng_state`] was called, here or in PyTorch. Equivalent of
/// `torch.set_rng_state`.
///
/// # Errors
///
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where the bytes are no state of a
/// generator on the CPU.
///
/// # Example
///
/// ```
/// use candlelight::random::set_rng_state;
///
/// assert!(set_rng_state(&[]).is_err());
/// ```
pub fn set_rng_state(state: &[u8]) -> Result<()> {
    with_global(|generator| generator.set_state(state))
}
