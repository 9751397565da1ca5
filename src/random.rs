//! Seeded random numbers: the numbers that PyTorch draws on the CPU from the same seed.
//!
//! PyTorch's generator is the Mersenne Twister MT19937. What is PyTorch's own is how its numbers
//! become floats, permutations and seeds; that is what this module adds.
//!
//! There is one global generator, as in PyTorch. [`manual_seed`] seeds it;
//! [`var_builder`](crate::nn::var_builder) draws a network's first weights from it.
//!
//! # Panics
//!
//! What returns `n` numbers panics, or ends the process, where they do not fit into memory, as `vec![0f32; n]`
//! does. Layers and loaders, which draw from here, return an error instead.

mod draws;
mod normal;
mod state;
mod twister;

pub use state::{get_rng_state, set_rng_state};

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use twister::Twister;

/// A generator with its own state. Equivalent of `torch.Generator()` on the CPU.
///
/// # Differences from PyTorch
///
/// None in the numbers drawn by the methods below, but for the last digit of what [`normal`](Self::normal) gives on
/// some processors.
///
/// # Example
///
/// ```
/// use candlelight::random::Generator;
///
/// let mut generator = Generator::new(0);
/// // torch.manual_seed(0); torch.rand(3)
/// assert_eq!(generator.rand(3), [0.49625659, 0.7682218, 0.088477433]);
/// ```
#[derive(Debug, Clone)]
pub struct Generator {
    twister: Twister,
    seed: u64,
    /// The second of two normal numbers, which waits for the next call.
    next_normal: Option<f64>,
}

impl Generator {
    /// A generator that starts at `seed`. Equivalent of `torch.Generator().manual_seed(seed)`.
    ///
    /// As in PyTorch, the twister is seeded with the lower 32 bits of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            twister: Twister::new(seed as u32),
            seed,
            next_normal: None,
        }
    }

    /// The seed that this generator started from. Equivalent of `torch.Generator.initial_seed`.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    fn next_u32(&mut self) -> u32 {
        self.twister.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    /// `n` numbers, uniform in [0, 1). Equivalent of `torch.rand(n, generator=…)`.
    ///
    /// Each is a multiple of 2⁻²⁴, made from the lower 24 bits of one draw.
    pub fn rand(&mut self, n: usize) -> Vec<f32> {
        self.uniform(n, 0.0, 1.0)
    }

    /// `n` numbers, uniform in [`low`, `high`). Equivalent of
    /// `torch.empty(n).uniform_(low, high, generator=…)`.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::random::Generator;
    ///
    /// let values = Generator::new(0).uniform(1000, -0.5, 0.5);
    /// assert!(values.iter().all(|value| (-0.5..0.5).contains(value)));
    /// ```
    pub fn uniform(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        let (low, high) = (low as f32, high as f32);
        let draw = |generator: &mut Self| {
            let unit = (generator.next_u32() & ((1 << 24) - 1)) as f32 / (1 << 24) as f32;
            // One rounding, as on PyTorch's processors.
            let value = unit.mul_add(high - low, low);
            // Rounding may reach what the range excludes.
            if value == high { low } else { value }
        };
        (0..n).map(|_| draw(self)).collect()
    }

    /// `n` numbers in double precision, uniform in [`low`, `high`). Equivalent of
    /// `torch.empty(n, dtype=torch.float64).uniform_(low, high, generator=…)`.
    ///
    /// Each is made from the lower 53 bits of two draws.
    pub fn uniform_f64(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        let draw = |generator: &mut Self| {
            let unit = (generator.next_u64() & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64;
            let value = unit.mul_add(high - low, low);
            if value == high { low } else { value }
        };
        (0..n).map(|_| draw(self)).collect()
    }

    /// The numbers 0 to `n` − 1 in random order. Equivalent of `torch.randperm(n, generator=…)`.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::random::Generator;
    ///
    /// let mut order = Generator::new(0).randperm(5);
    /// order.sort();
    /// assert_eq!(order, [0, 1, 2, 3, 4]);
    /// ```
    pub fn randperm(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        // PyTorch: one draw a position; two where 32 bits would favour some numbers too much.
        let wide = n as u64 >= u64::from(u32::MAX) / 20;
        for i in 0..n.saturating_sub(1) {
            let draw = if wide {
                self.next_u64()
            } else {
                u64::from(self.next_u32())
            };
            let offset = (draw % (n - i) as u64) as usize;
            order.swap(i, i + offset);
        }
        order
    }

    /// One integer, uniform in [0, 2⁶³). Equivalent of
    /// `torch.empty((), dtype=torch.int64).random_(generator=…)`.
    ///
    /// PyTorch's `DataLoader` draws its seeds so.
    pub fn random_i64(&mut self) -> i64 {
        (self.next_u64() & (i64::MAX as u64)) as i64
    }
}

/// PyTorch's seed where nobody called `torch.manual_seed`.
const DEFAULT_SEED: u64 = 67_280_421_310_721;

static GLOBAL: Mutex<Option<Generator>> = Mutex::new(None);

thread_local! {
    /// A loader's worker has one of its own, as PyTorch's worker processes have: what it draws must not
    /// depend on which worker comes first.
    static WORKERS: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

fn global() -> MutexGuard<'static, Option<Generator>> {
    // A generator has no half-changed state worth refusing: go on after a panic elsewhere.
    GLOBAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seeds the global generator. Equivalent of `torch.manual_seed`.
///
/// # Differences from PyTorch
///
/// It seeds the CPU's generator alone; in a worker of a `DataLoader`, that worker's, as in PyTorch.
/// Before the first call the global generator starts from a fixed seed, as PyTorch's does.
///
/// # Example
///
/// ```
/// use candlelight::random::{manual_seed, rand};
///
/// manual_seed(0);
/// let first = rand(4);
/// manual_seed(0);
/// assert_eq!(first, rand(4));
/// ```
pub fn manual_seed(seed: u64) {
    WORKERS.with_borrow_mut(|own| match own {
        Some(own) => *own = Generator::new(seed),
        None => *global() = Some(Generator::new(seed)),
    });
}

/// Gives this thread, a loader's worker, a generator of its own in the global one's place.
pub(crate) fn seed_this_thread(seed: u64) {
    WORKERS.set(Some(Generator::new(seed)));
}

/// Draws from the global generator, which `draw` must not ask for again: that would wait for itself.
pub(crate) fn with_global<T>(draw: impl FnOnce(&mut Generator) -> T) -> T {
    WORKERS.with_borrow_mut(|own| match own {
        Some(own) => draw(own),
        None => draw(global().get_or_insert_with(|| Generator::new(DEFAULT_SEED))),
    })
}

/// `n` numbers from the global generator, uniform in [0, 1). Equivalent of `torch.rand(n)`.
///
/// # Example
///
/// ```
/// use candlelight::random::{manual_seed, rand};
///
/// manual_seed(0);
/// assert_eq!(rand(2), [0.49625659, 0.7682218]);
/// ```
pub fn rand(n: usize) -> Vec<f32> {
    with_global(|generator| generator.rand(n))
}

/// The numbers 0 to `n` − 1 in an order from the global generator. Equivalent of
/// `torch.randperm(n)`.
///
/// # Example
///
/// ```
/// use candlelight::random::{manual_seed, randperm};
///
/// manual_seed(0);
/// assert_eq!(randperm(5), [4, 0, 1, 3, 2]);
/// ```
pub fn randperm(n: usize) -> Vec<usize> {
    with_global(|generator| generator.randperm(n))
}

/// One integer from the global generator, uniform in [0, 2⁶³). Equivalent of
/// `torch.empty((), dtype=torch.int64).random_()`.
///
/// # Example
///
/// ```
/// use candlelight::random::{manual_seed, random_i64};
///
/// manual_seed(1);
/// assert!(random_i64() >= 0);
/// ```
pub fn random_i64() -> i64 {
    with_global(Generator::random_i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_none_need_no_draw() {
        let mut generator = Generator::new(3);
        assert!(generator.randperm(0).is_empty());
        assert_eq!(generator.randperm(1), [0]);
        assert_eq!(generator.rand(2), Generator::new(3).rand(2));
    }

    #[test]
    fn only_the_lower_half_of_a_seed_counts() {
        assert_eq!(
            Generator::new(1 << 32 | 5).rand(3),
            Generator::new(5).rand(3)
        );
    }

    #[test]
    fn rounding_does_not_reach_the_end() {
        // torch.empty(2000).uniform_(1000, 1000.0005): eight values, 1000.0005 not among them.
        let (low, high) = (1000.0, 1000.0005);
        let values = Generator::new(3).uniform(2000, low, high);
        assert_eq!(values.iter().filter(|&&v| v == low as f32).count(), 238);
        assert!(values.iter().all(|&value| value < high as f32));
    }

    #[test]
    fn doubles_stay_in_range() {
        let values = Generator::new(1).uniform_f64(100, -2.0, 3.0);
        assert!(values.iter().all(|value| (-2.0..3.0).contains(value)));
    }
}
